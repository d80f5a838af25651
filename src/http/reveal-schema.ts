import { z } from 'zod'
import { text, uuid } from '../domain/atoms.ts'
import { FORM_FIELD, REVEAL_REASON_CODES, REVEAL_REASONS, REVEALED_FIELDS } from '../domain/privacy.ts'

/** 显示: what is masked everywhere, asked for with a reason. */

export const inWords = (codes: Record<string, string>): string => Object.entries(codes).map(([one, zh]) => `${one} ${zh}`).join('，')
export const reason = z.enum(REVEAL_REASON_CODES).describe(inWords(REVEAL_REASONS))
export const note = text({ max: 500, multiline: true }).optional().describe('说明；随审计记录保存，此人的信息删除时一并删除')

const EXAMPLE_ID = '0195f2a0-7c1e-7abc-8def-0123456789ab'

export const RevealSchema = z
  .strictObject({ reason, fields: z.array(z.enum(REVEALED_FIELDS)).min(1).max(3).optional().describe('只看这些；缺省为全部'), note })
  .meta({ id: 'RevealBody', examples: [{ reason: 'contact', fields: ['name', 'phone'] }] })

/** Of a request: what its form asked of the petitioner, too. */
export const RequestRevealSchema = z
  .strictObject({ reason, fields: z.array(z.enum([...REVEALED_FIELDS, FORM_FIELD])).min(1).max(4).optional().describe('只看这些，form 为表单中的个人信息；缺省为全部'), note })
  .meta({ id: 'RequestRevealBody', examples: [{ reason: 'contact', fields: ['name', 'phone'] }] })

export const shown = { name: z.string().nullable(), phone: z.string().nullable(), door: z.string().nullable() }
export const RevealedSchema = z.strictObject({ person: uuid, ...shown })
  .meta({ id: 'RevealedPerson', description: '未脱敏的个人信息；没有登记的为 null', examples: [{ person: EXAMPLE_ID, name: '王示例', phone: '13800138000', door: null }] })
