import { z } from 'zod'
import { capacity, type Actor } from './actor.ts'
import { FileBody } from './bodies.ts'
import { instant, text, uuid } from './atoms.ts'
import { says } from './problems.ts'

/** 敲门问需 (S3) and 走访 (S2): doors, and what is found behind them. */

export const VISIT_RESULTS = ['met', 'not_home', 'refused'] as const
export type VisitResult = (typeof VISIT_RESULTS)[number]

/** A visit that was refused is not due again sooner than one that was not. */
export const COUNTS: readonly VisitResult[] = ['met', 'refused']

/** A household is due again after so many days, unless the tenant says otherwise (`visitEveryDays`). */
export const VISIT_EVERY_DAYS = 90

export const door = text({ max: 60 }).describe('门牌号，不写姓名')

/** What a door is known by: half width, without blanks, in capitals. */
export const doorKey = (written: string): string => written.normalize('NFKC').replace(/\s+/g, '').toUpperCase()

/** As a request is filed, but for what the visit says already. */
export const NeedBody = FileBody.omit({ node: true, source: true, collectedAt: true, externalRef: true, location: true })
  .describe('居民提出的需求；在该户所在地点点单，来源为走访，收集时间为走访时间')

export const VisitBody = z.strictObject({
  clientId: text({ max: 64 }).describe('离线端自己的编号：每人之内永久唯一，重发同一编号不会重复登记'),
  household: uuid.describe('住户 id'),
  visitedAt: instant.describe('走访时间'),
  result: z.enum(VISIT_RESULTS).describe('met 见到，not_home 无人，refused 谢绝'),
  needs: z.array(NeedBody).max(20).optional().describe('见到时提出的需求，一项一件点单；当场解决的写 resolvedOnSpot'),
}).refine(({ result, needs = [] }) => result === 'met' || needs.length === 0, { params: says('没有见到人，不会有需求', 'Nobody was met: there are no needs'), path: ['needs'] })

export type Visit = z.output<typeof VisitBody>

/** Phones' clocks are a little ahead. */
const MOST_AHEAD_MS = 10 * 60_000
export const isAhead = (visitedAt: Date, now: Date): boolean => visitedAt.getTime() > now.getTime() + MOST_AHEAD_MS

/** Whoever files for others there goes from door to door there, and reads which door it is. */
export const walks = (actor: Actor, path: string): boolean => actor.kind === 'system' || capacity(actor, 'file_for', path) !== undefined
