import type { FastifyContextConfig } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { code, instant, uuid } from '../../domain/atoms.ts'
import { ERASURE_REASON_CODES, ERASURE_REASONS } from '../../domain/privacy.ts'
import type { Db } from '../../service/db.ts'
import { erasePerson, eraseSelf, type Erasure } from '../../service/erasures.ts'
import type { Keyring } from '../../service/keyring.ts'
import { revealPerson, revealPetitioners } from '../../service/reveals.ts'
import { exportPerson, exportSelf } from '../../service/subject-export.ts'
import { IfMatchHeaders, versionOf } from '../if-match.ts'
import { inWords, note, reason, RequestRevealSchema, RevealedSchema, RevealSchema, shown } from '../reveal-schema.ts'

const EXAMPLE_ID = '0195f2a0-7c1e-7abc-8def-0123456789ab'

const PetitionerSchema = z.strictObject({ person: uuid, ...shown, as: z.array(z.enum(['filer', 'beneficiary', 'guardian'])).describe('filer 点单人，beneficiary 受益人，guardian 监护人') })
  .meta({ id: 'RevealedPetitioner' })

const ErasureBodySchema = z.strictObject({ reason: z.enum(ERASURE_REASON_CODES).describe(inWords(ERASURE_REASONS)) }).meta({ id: 'ErasureBody', examples: [{ reason: 'asked' }] })
const ErasureSchema = z.strictObject({ id: uuid.describe('删除台账中的编号'), person: uuid, at: instant })
  .meta({ id: 'Erasure', description: '已删除', examples: [{ id: EXAMPLE_ID, person: EXAMPLE_ID, at: '2026-11-22T01:00:00.000Z' }] })

const at = instant.nullable()
const request = uuid.describe('点单 id')
const SubjectExportSchema = z.strictObject({
  person: z.strictObject({
    id: uuid, login: z.string().nullable(), node: z.string().nullable(), suspendedAt: at, createdAt: instant, ...shown,
    externalUser: z.string().nullable().describe('应用提供的身份：provider:appId:openId'),
    workPhone: z.string().nullable().describe('连心卡上的工作电话'),
  }),
  accounts: z.array(z.strictObject({ provider: z.string(), app: z.string(), at: instant })),
  requests: z.array(z.strictObject({
    id: uuid, number: z.string(), item: z.string(), kind: z.string(), state: z.string(), source: z.string(), targetGroup: z.string().nullable(), confidential: z.boolean(),
    result: z.string().nullable(), solved: z.string().nullable(), satisfaction: z.string().nullable(), externalRef: z.string().nullable(), as: z.array(z.string()), filedAt: instant, closedAt: at,
  })),
  texts: z.array(z.strictObject({ request, field: z.string(), body: z.string(), at: instant })),
  answers: z.array(z.strictObject({ request, answers: z.record(z.string(), z.json()) })).describe('表单中的个人信息'),
  consents: z.array(z.strictObject({ request, purpose: z.string(), by: z.string(), how: z.string(), granted: z.boolean(), at: instant })),
  attachments: z.array(z.strictObject({ id: uuid, request: request.nullable(), kind: z.string(), type: z.string(), bytes: z.int(), at: instant })),
  duties: z.array(z.strictObject({ role: z.string(), node: z.string(), since: instant, until: at, standIn: z.boolean() })),
  affiliations: z.array(z.strictObject({
    kind: z.string(), tie: z.string().nullable(), organisation: z.string(), appliedAt: instant, verifiedAt: at, rejectedAt: at, endedAt: at, reason: z.string().nullable(),
  })),
  skills: z.array(z.strictObject({ skill: z.string(), level: z.int(), declaredAt: instant, verifiedAt: at, endedAt: at })),
  notifications: z.array(z.strictObject({ id: uuid, type: z.string(), request, at: instant, readAt: at })),
  acts: z.array(z.strictObject({ request, verb: z.string(), at: instant })).describe('本人办理的每一步'),
  reveals: z.array(z.strictObject({ at: instant, reason: z.string(), fields: z.array(z.string()), request: request.nullable() })).describe('何时因何被查看过明文'),
  cutOff: z.array(z.string()).describe('没有列全的清单（只列最近 5000 条）'),
}).meta({ id: 'SubjectExport', description: '个人信息副本' })

const person = z.strictObject({ id: z.union([uuid, code]).describe('人员 id 或工号').meta({ examples: ['YQ0013'] }) })
const config = (...problems: NonNullable<FastifyContextConfig['problems']>): FastifyContextConfig => ({ audience: 'staff', problems })
/** Shown again is counted again, and an answer with somebody's data in it is not kept for a key. */
const unkept = (...problems: NonNullable<FastifyContextConfig['problems']>): FastifyContextConfig => ({ ...config(...problems), keyed: false })
const told = ({ id, personId, at: when }: Erasure) => ({ id, person: personId, at: new Date(when) })

/** 个人信息: shown for a reason, given as a copy, erased. Everything here is on record. */
export const privacyRoutes = ({ db, keyring }: { db: Db; keyring: Keyring }): FastifyPluginAsyncZod => async (app) => {
  app.post('/v1/requests/:id/reveal', {
    config: unkept('request-not-found', 'version-mismatch', 'rate-limited'),
    schema: {
      tags: ['点单'], summary: '查看诉求人联系方式', operationId: 'revealRequest',
      description: '姓名、电话、门牌，和表单中的个人信息。办理期间的承办人（认领人须有 contact_to_claimer 同意）、结案前的派单人、待回访时的回访人。调解和保密件只限承办人。每次查看都有记录，每人每天有上限。',
      params: z.strictObject({ id: z.union([uuid, code]).describe('id 或单号').meta({ examples: ['WX20261121-000123'] }) }),
      headers: IfMatchHeaders, body: RequestRevealSchema,
      response: { 200: z.strictObject({ data: z.array(PetitionerSchema), form: z.record(z.string(), z.json()).nullable().describe('表单中的个人信息；没有的为 null') }) },
    },
  }, async ({ params, headers, body, actor }) => {
    const { people, form } = await revealPetitioners(db, keyring, params.id, body, actor, versionOf(headers['if-match']))
    return { data: people as z.input<typeof PetitionerSchema>[], form }
  })

  app.post('/v1/people/:id/reveal', {
    config: unkept('not-found', 'person-erased', 'rate-limited'),
    schema: { tags: ['人员'], summary: '查看个人信息明文', operationId: 'revealPerson', description: '可以更正此人信息的人。每次查看都有记录，每人每天有上限。', params: person, body: RevealSchema, response: { 200: RevealedSchema } },
  }, ({ params, body, actor }) => revealPerson(db, keyring, params.id, body, actor))

  app.post('/v1/people/:id/export', {
    config: unkept('not-found', 'person-erased', 'rate-limited'),
    schema: {
      tags: ['人员'], summary: '提供个人信息副本', operationId: 'exportPerson', description: '应此人请求，由管理员本人办理（个人信息保护法第四十五条）。计入每天查看明文的人数。',
      params: person, body: z.strictObject({ reason, note }).meta({ id: 'SubjectExportBody', examples: [{ reason: 'subject_request' }] }), response: { 200: SubjectExportSchema },
    },
  }, ({ params, body, actor }) => exportPerson(db, keyring, params.id, body, actor))

  app.post('/v1/people/:id/erase', {
    config: config('not-found', 'person-erased', 'on-duty', 'requests-open'),
    schema: {
      tags: ['人员'], summary: '删除个人信息', operationId: 'erasePerson',
      description: '不可恢复：姓名、电话、门牌、点单的文字和照片、账号一并销毁，编号和办理经过保留（个人信息保护法第四十七条）。须由管理员本人办理；仍在任职或还有未结案的点单时回答 409 并列出单号。',
      params: person, body: ErasureBodySchema, response: { 200: ErasureSchema },
    },
  }, async ({ params, body, actor }) => told(await erasePerson(db, params.id, body.reason, actor)))

  app.get('/v1/me/export', {
    config: config('person-erased'),
    schema: { tags: ['我的'], summary: '我的个人信息副本', operationId: 'exportMe', description: '保存的关于本人的一切，不含他人的信息。', response: { 200: SubjectExportSchema } },
  }, ({ actor }) => exportSelf(db, keyring, actor))

  app.post('/v1/me/erase', {
    config: config('person-erased', 'on-duty', 'requests-open'),
    schema: {
      tags: ['我的'], summary: '注销并删除我的个人信息', operationId: 'eraseMe', description: '立即生效，不可恢复。仍在任职或还有未结案的点单时回答 409。',
      body: z.strictObject({ confirm: z.boolean().describe('true 为确认删除') }).meta({ id: 'EraseMeBody', examples: [{ confirm: true }] }), response: { 200: ErasureSchema },
    },
  }, async ({ body, actor }) => told(await eraseSelf(db, body.confirm, actor)))
}
