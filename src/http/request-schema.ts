import { z } from 'zod'
import { instant, uuid } from '../domain/atoms.ts'
import { STATES, STATE_NAMES, STEPS, TRANSITIONS, type Step } from '../domain/machine.ts'
import { KINDS, RESULTS, SATISFACTION, SOLVED, SOURCES, TARGET_GROUPS } from '../domain/request.ts'

/** What a request looks like from outside: the shape of `view`. */

const named = <T extends string>(table: Record<T, { zh: string }>) => Object.entries<{ zh: string }>(table).map(([name, { zh }]) => `${name} ${zh}`).join('，')

export const StateSchema = z.enum(STATE_NAMES as [keyof typeof STATES, ...(keyof typeof STATES)[]]).meta({ id: 'State', description: `状态：${named(STATES)}` })

const StepSchema = z.enum(Object.keys(STEPS) as [Step, ...Step[]]).describe(`环节：${named(STEPS)}`)

const PlaceSchema = z.strictObject({ id: uuid, code: z.string(), name: z.string() }).meta({ id: 'Place', description: '节点' })

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

const AssigneeSchema = z
  .strictObject({ via: z.enum(['claim', 'dispatch']), slot: z.int(), person: uuid.nullable(), organisation: uuid.nullable(), since: instant })
  .meta({ id: 'Assignee', description: '承办人：人员或组织' })

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
    node: PlaceSchema.nullable().describe('发生地点；在墙上只显示到小区'),
    responsibleNode: PlaceSchema.nullable().describe('责任节点'),
    source: z.enum(SOURCES).nullable(),
    targetGroup: z.enum(TARGET_GROUPS).nullable(),
    confidential: z.boolean(),
    externalRef: z.string().nullable().describe('只给提交它的应用'),
    wall: z.strictObject({ title: z.string(), text: z.string().nullable() }).nullable().describe('上墙文字'),
    slots: z.int().describe('名额'),
    slotsTaken: z.int(),
    allowed: z.array(z.enum(TRANSITIONS as [(typeof TRANSITIONS)[number], ...typeof TRANSITIONS])).describe('调用者此刻可以办理的动作'),
    deadlines: z.array(DeadlineSchema),
    assignees: z.array(AssigneeSchema),
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
