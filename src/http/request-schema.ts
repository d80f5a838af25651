import { z } from 'zod'
import { instant, uuid } from '../domain/atoms.ts'
import { STATES, STATE_NAMES, STEPS, TRANSITIONS, type Step } from '../domain/machine.ts'
import { ASK_KINDS, CONSENT_HOW, CONSENT_PURPOSES, GRADES, KINDS, RESULTS, SATISFACTION, SOLVED, SOURCES, TARGET_GROUPS } from '../domain/request.ts'

/** What a request looks like from outside: the shape of `view`. */

const named = <T extends string>(table: Record<T, { zh: string }>) => Object.entries<{ zh: string }>(table).map(([name, { zh }]) => `${name} ${zh}`).join('，')

export const StateSchema = z.enum(STATE_NAMES as [keyof typeof STATES, ...(keyof typeof STATES)[]]).meta({ id: 'State', description: `状态：${named(STATES)}` })

const StepSchema = z.enum(Object.keys(STEPS) as [Step, ...Step[]]).describe(`环节：${named(STEPS)}`)

export const PlaceSchema = z.strictObject({ id: uuid, code: z.string(), name: z.string() }).meta({ id: 'Place', description: '节点' })

const DeadlineSchema = z
  .strictObject({
    step: StepSchema,
    dueAt: instant.describe('现时限'),
    originalDueAt: instant.describe('原时限，永不改变'),
    provisional: z.boolean().describe('跨入尚未公布节假日的年份，公布后重算'),
    overdue: z.boolean(),
    standing: z.boolean().describe('时限停走'),
  })
  .meta({ id: 'Deadline', description: '时限' })

const Party = {
  via: z.enum(['claim', 'dispatch', 'co', 'whistle', 'sign_up']).describe('怎么来的：认领、派单、协办、吹哨'),
  slot: z.int(), quantity: z.int().describe('占多少名额'), pending: z.boolean().describe('认领待审核'),
  person: uuid.nullable(), organisation: uuid.nullable(), goes: uuid.nullable().describe('组织指派谁去'), since: instant,
}
const AssigneeSchema = z.strictObject(Party).meta({ id: 'Assignee', description: '承办人：人员或组织' })
const CoHandlerSchema = z.strictObject({ ...Party, reportedAt: instant.nullable().describe('报到时间'), dueAt: instant.nullable().describe('协办或报到的时限') }).meta({ id: 'CoHandler', description: '协办方' })

const AskSchema = z
  .strictObject({
    seq: z.int().describe('申请的那一步'), kind: z.enum(ASK_KINDS).describe('return 退单，extension 延期，park 挂账，exclusion 剔除'),
    reason: z.string().nullable().describe('原因代码；文字理由见办理经过'), status: z.enum(['open', 'granted', 'denied', 'lapsed']).describe('lapsed 失效'),
    person: uuid.nullable(), organisation: uuid.nullable(), until: instant.nullable(), askedAt: instant, answeredAt: instant.nullable(),
  })
  .meta({ id: 'Ask', description: '申请：由上一级答复' })

const ConsentSchema = z
  .strictObject({ purpose: z.enum(CONSENT_PURPOSES), by: z.enum(['self', 'guardian']), how: z.enum(CONSENT_HOW), granted: z.boolean(), at: instant })
  .meta({ id: 'Consent', description: '同意' })

export const RequestSchema = z
  .strictObject({
    id: uuid,
    number: z.string().describe('单号，任何需要 id 的地方都可用'),
    kind: z.enum(KINDS),
    item: z.strictObject({ code: z.string(), name: z.string() }).describe('服务菜单'),
    title: z.string(),
    state: StateSchema,
    version: z.int().describe('版本，即 ETag；每次变更加一'),
    cycle: z.int().describe('第几次办理；重办加一'),
    grade: z.enum(GRADES).nullable().describe('分级：大事、小事、实事、急事、难事'),
    node: PlaceSchema.nullable().describe('发生地点；在墙上只显示到小区'),
    responsibleNode: PlaceSchema.nullable().describe('责任节点'),
    source: z.enum(SOURCES).nullable(),
    targetGroup: z.enum(TARGET_GROUPS).nullable(),
    confidential: z.boolean(),
    externalRef: z.string().nullable().describe('只给提交它的应用'),
    filer: uuid.nullable().describe('点单人'),
    beneficiary: uuid.nullable().describe('受益人'),
    guardian: uuid.nullable().describe('监护人'),
    firstContact: uuid.nullable().describe('首问责任人'),
    mergedInto: uuid.nullable().describe('并入了哪一件'),
    campaign: uuid.nullable().describe('所属专项行动'),
    hasMerged: z.boolean().describe('有其他点单并入本件'),
    locked: z.boolean().describe('已终审，不能再退单'),
    excluded: z.boolean().describe('已剔除，不计入考核'),
    onTheSpot: z.boolean().describe('即办件'),
    confirmed: z.boolean().nullable().describe('无法办理的结果是否已经确认；无须确认时为 null'),
    wall: z.strictObject({ title: z.string(), text: z.string().nullable() }).nullable().describe('上墙文字'),
    slots: z.int().describe('名额'),
    slotsTaken: z.int(),
    attendees: z.int().describe('报名人数（活动）'),
    wave: z.int().describe('认领范围已扩大几次'),
    allowed: z.array(z.enum(TRANSITIONS as [(typeof TRANSITIONS)[number], ...typeof TRANSITIONS])).describe('调用者此刻可以办理的动作'),
    deadlines: z.array(DeadlineSchema),
    assignees: z.array(AssigneeSchema),
    coHandlers: z.array(CoHandlerSchema),
    asks: z.array(AskSchema).describe('本轮办理中的申请'),
    consents: z.array(ConsentSchema).describe('现行的同意'),
    trips: z.int().describe('跑了几趟（跑腿代办）'),
    papersOut: z.int().describe('尚未交还的材料份数'),
    sessions: z.int().describe('调解场次'),
    beneficiaries: z.int().nullable().describe('受益人数'),
    resolvedAtLevel: z.string().nullable().describe('在哪一级办结（小事不出楼栋）'),
    result: z.enum(RESULTS).nullable(),
    solved: z.enum(SOLVED).nullable(),
    satisfaction: z.enum(SATISFACTION).nullable(),
    collectedAt: instant.nullable(),
    filedAt: instant,
    acceptedAt: instant.nullable(),
    placedAt: instant.nullable(),
    dispatchedAt: instant.nullable(),
    startedAt: instant.nullable(),
    respondedAt: instant.nullable(),
    completedAt: instant.nullable(),
    ratedAt: instant.nullable(),
    closedAt: instant.nullable(),
  })
  .meta({ id: 'Request', description: '点单' })

export const PageSchema = z
  .strictObject({ nextCursor: z.string().nullable().describe('下一页的 cursor；没有更多时为 null'), hasMore: z.boolean() })
  .meta({ id: 'Page', description: '翻页位置' })
