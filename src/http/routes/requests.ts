import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { code, instant, uuid } from '../../domain/atoms.ts'
import { BODIES } from '../../domain/bodies.ts'
import { operationOf, pascal } from '../../domain/derive.ts'
import { CAPABILITIES, STATES, TRANSITIONS, verbOf, type Callable, type Transition, type VerbName } from '../../domain/machine.ts'
import type { RequestView } from '../../domain/view.ts'
import type { Db } from '../../service/db.ts'
import { details } from '../../service/details.ts'
import { durations } from '../../service/durations.ts'
import { history } from '../../service/events.ts'
import type { Keyring } from '../../service/keyring.ts'
import { list } from '../../service/list.ts'
import { act, file, find, type Filed } from '../../service/requests.ts'
import { DetailsSchema } from '../details-schema.ts'
import { FiledSchema, FilingQuerySchema } from '../filed-schema.ts'
import { IdempotencyHeaders, sendOnce } from '../idempotent.ts'
import { IfMatchHeaders, versionOf } from '../if-match.ts'
import { ListQuerySchema, RequestPageSchema } from '../list-schema.ts'
import { RequestSchema, StateSchema } from '../request-schema.ts'
import { VERB_EXAMPLES } from '../verb-examples.ts'

const ref = z.union([uuid, code]).describe('id 或单号')

const etag = ({ version }: RequestView) => ({ etag: `"${version}"` })

const HistorySchema = z.strictObject({
  data: z.array(z.strictObject({
    seq: z.int(), verb: z.string(), from: z.string().nullable(), state: StateSchema, at: instant, cycle: z.int(),
    actorKind: z.enum(['person', 'app', 'system']), actor: uuid.nullable(), duty: uuid.nullable().describe('以什么职责办理'), onBehalfOf: uuid.nullable(),
    data: z.record(z.string(), z.json()), notes: z.array(z.strictObject({ field: z.string(), body: z.string() })),
  })),
})

const DurationsSchema = z.strictObject({
  totalSeconds: z.number(),
  data: z.array(z.strictObject({
    waitsFor: z.string().describe('在等谁：承办人、派单、审批、回访……；parked 挂账，merged 并案'),
    parties: z.array(uuid).describe('承办的人员或组织'),
    node: z.string().describe('当时的责任节点'),
    seconds: z.number(),
    workingMinutes: z.int().describe('其中的工作时间，分钟'),
  })),
}).meta({ id: 'Durations', description: '时间归属' })

/** 点单: filing, reading, and every verb of the machine. */
export const requestRoutes = (deps: { db: Db; keyring: Keyring }): FastifyPluginAsyncZod => async (app) => {
  const { db } = deps

  app.post('/v1/requests', {
    config: { audience: 'staff', problems: ['node-unknown', 'item-unknown', 'target-unknown', 'attachment-unknown', 'campaign-unknown', 'campaign-closed', 'external-ref-taken', 'idempotency-key-reused', 'idempotency-in-flight'] },
    schema: {
      tags: ['点单'], summary: '点单', operationId: 'fileRequest', headers: IdempotencyHeaders, querystring: FilingQuerySchema,
      description: `${verbOf('file').says}\n\n工作人员点单时，回答中带有辖区内疑似重复的点单（\`duplicates\`），供并案；并案须由派单人另行办理。`,
      body: BODIES.file.meta({
        id: 'FileBody',
        examples: [{
          item: 'corridor-light', title: '3号楼1单元楼道灯不亮', description: '二层到三层之间，晚上看不清台阶', node: 'YQHF-03-1', source: 'phone',
          location: { address: '3号楼1单元', lng: 118.3412, lat: 35.0541, crs: 'gcj02' },
        }],
      }),
      response: { 201: FiledSchema },
    },
  }, (request, reply) => sendOnce(deps, request, reply, 201, (answer: Filed) => ({ ...etag(answer), location: `/v1/requests/${answer.id}` }),
    (keep) => file(db, request.body, request.actor, { keep, keyring: deps.keyring, duplicates: request.query.duplicates ?? 'staff' })))

  app.get('/v1/requests', {
    config: { audience: 'staff', problems: ['not-found', 'cursor-unusable'] },
    schema: {
      tags: ['点单'], summary: '点单列表', operationId: 'listRequests',
      description: '缺省按时间倒序。工作人员看到辖区内的点单，其他人看到自己点的和承办的，应用看到自己提交的。\n\n翻页期间有新的点单或状态变化，不会重复也不会遗漏；按到期先后排列时，时限变了的可能再次出现。查找（`q`）不含保密件和调解件。',
      querystring: ListQuerySchema,
      response: { 200: z.strictObject({ data: z.array(RequestSchema), page: RequestPageSchema }) },
    },
  }, ({ query, actor }) => list(db, query, actor, deps.keyring))

  app.get('/v1/requests/:id', {
    config: { audience: 'staff', problems: ['request-not-found'] },
    schema: {
      tags: ['点单'], summary: '查看点单', operationId: 'getRequest', description: '辖区以外、与己无关的点单回答 404。',
      params: z.strictObject({ id: ref.meta({ examples: [VERB_EXAMPLES.accept.number] }) }), response: { 200: RequestSchema },
    },
  }, async ({ params, actor }, reply) => {
    const found = await find(db, params.id, actor)
    return reply.headers(etag(found)).send(found)
  })

  app.get('/v1/requests/:id/events', {
    config: { audience: 'staff', problems: ['request-not-found'] },
    schema: {
      tags: ['点单'], summary: '办理经过', operationId: 'listRequestEvents', description: '从点单到现在的每一步，按先后。',
      params: z.strictObject({ id: ref.meta({ examples: [VERB_EXAMPLES.accept.number] }) }), response: { 200: HistorySchema },
    },
  }, async ({ params, actor }) => ({ data: await history(db, params.id, actor) }))

  app.get('/v1/requests/:id/details', {
    config: { audience: 'staff', problems: ['request-not-found'] },
    schema: {
      tags: ['点单'], summary: '点单详情', operationId: 'getRequestDetails',
      description: '详细说明、具体位置和填写的表单。表单中的个人信息只给诉求人本人，以及可以查看其联系方式的承办人、派单人和回访员（每次查看都记入审计）。',
      params: z.strictObject({ id: ref.meta({ examples: [VERB_EXAMPLES.accept.number] }) }), response: { 200: DetailsSchema },
    },
  }, ({ params, actor }) => details(db, deps.keyring, params.id, actor))

  app.get('/v1/requests/:id/durations', {
    config: { audience: 'staff', problems: ['request-not-found'] },
    schema: {
      tags: ['点单'], summary: '时间归属', operationId: 'getRequestDurations',
      description: '从点单到现在（或结案），每一段时间在等谁；各段相加等于总时间。等待答复申请的时间算在审批人名下。',
      params: z.strictObject({ id: ref.meta({ examples: [VERB_EXAMPLES.accept.number] }) }), response: { 200: DurationsSchema },
    },
  }, ({ params, actor }) => durations(db, params.id, actor))

  for (const verb of TRANSITIONS) mountVerb(verb)

  /** One door for every row of the machine's table. */
  function mountVerb(verb: Callable): void {
    const row = verbOf(verb)
    const { number, body } = VERB_EXAMPLES[verb]
    app.post(`/v1/requests/:id/${verb}`, {
      config: {
        ...(isForStaff(verb) ? { audience: 'staff' as const } : {}),
        problems: ['request-not-found', 'transition-refused', 'request-changed', 'version-mismatch', 'limit-reached', 'idempotency-key-reused', 'idempotency-in-flight', ...refusalsOf(verb)],
      },
      schema: {
        tags: ['点单'], summary: row.zh, operationId: operationOf(verb), description: `${row.says}\n\n${edgesInWords(verb)}`,
        params: z.strictObject({ id: ref.meta({ examples: [number] }) }),
        headers: IdempotencyHeaders.extend(IfMatchHeaders.shape),
        body: verbBody(verb, body),
        response: { 200: RequestSchema },
      },
    }, (request, reply) => sendOnce(deps, request, reply, 200, etag,
      (keep) => act(db, verb, request.params.id, (request.body ?? {}) as never, request.actor, { keep, keyring: deps.keyring, version: versionOf(request.headers['if-match']) })))
  }
}

/** A verb without required fields may be called without a body. */
function verbBody(verb: Transition, example: object): z.ZodType<object | null | undefined> {
  const schema: z.ZodType<object> = BODIES[verb]
  const body = schema.meta({ ...schema.meta(), id: `${pascal(verb)}Body`, examples: [example] })
  return schema.safeParse({}).success ? body.nullish() : body
}

type Refusal = NonNullable<import('fastify').FastifyContextConfig['problems']>[number]

/** What a verb may say no with, besides what all say. */
const REFUSALS: Partial<Record<Transition, readonly Refusal[]>> = {
  accept: ['node-unknown', 'item-unknown', 'own-ask'],
  return: ['has-merged'],
  amend: ['node-unknown', 'item-unknown'],
  place: ['not-for-the-wall', 'consent-missing', 'node-unknown'],
  'take-down': ['already-claimed'],
  claim: ['not-verified', 'own-wish', 'not-yet', 'slots-taken', 'already-claimed', 'not-for-the-wall', 'target-unknown'],
  'confirm-claim': ['not-claimed', 'own-ask'],
  'decline-claim': ['not-claimed'],
  start: ['not-claimed'],
  release: ['not-claimed', 'papers-out'],
  dispatch: ['target-unknown', 'already-claimed'],
  redispatch: ['target-unknown', 'locked', 'adjudication-needed'],
  assign: ['target-unknown', 'not-an-organisation', 'own-wish'],
  'ask-return': ['already-asked', 'locked', 'claimed-not-dispatched', 'target-unknown'],
  'grant-return': ['not-asked', 'own-ask', 'adjudication-needed'],
  'deny-return': ['not-asked', 'own-ask', 'adjudication-needed'],
  adjudicate: ['not-asked', 'own-ask', 'level-too-low', 'adjudication-early', 'target-unknown'],
  'ask-extension': ['already-asked', 'too-late'],
  'grant-extension': ['not-asked', 'own-ask', 'level-too-low'],
  'deny-extension': ['not-asked', 'own-ask', 'level-too-low'],
  'ask-park': ['already-asked', 'too-late'],
  'grant-park': ['not-asked', 'own-ask', 'level-too-low'],
  'deny-park': ['not-asked', 'own-ask', 'level-too-low'],
  'ask-exclusion': ['already-asked', 'already-excluded', 'too-late'],
  'grant-exclusion': ['not-asked', 'own-ask', 'level-too-low'],
  'deny-exclusion': ['not-asked', 'own-ask', 'level-too-low'],
  respond: ['already-responded'],
  'sign-up': ['not-an-activity', 'already-signed-up', 'slots-taken'],
  'add-co': ['target-unknown'],
  deliberate: ['locked', 'adjudication-needed'],
  'remove-co': ['target-unknown'],
  whistle: ['target-unknown'],
  'report-in': ['already-reported'],
  complete: ['papers-out'],
  confirm: ['nothing-to-confirm', 'own-work'],
  'follow-up': ['own-work', 'not-confirmed'],
  rate: ['already-rated', 'window-over', 'not-confirmed', 'own-work'],
  reopen: ['window-over', 'own-work', 'level-too-low', 'not-confirmed'],
  merge: ['has-merged', 'already-claimed', 'not-mergeable'],
  raise: ['no-level-above', 'node-unknown'],
  'hand-over': ['target-unknown'],
}

const bodyShape = (verb: Transition): object => (BODIES[verb] as { shape?: object }).shape ?? {}

/** What follows from what it takes. */
const refusalsOf = (verb: Transition): Refusal[] => [
  ...REFUSALS[verb] ?? [],
  ...('for' in bodyShape(verb) ? ['has-account' as const, ...(REFUSALS[verb]?.includes('target-unknown') ? [] : ['target-unknown' as const])] : []),
  ...('attachments' in bodyShape(verb) ? ['attachment-unknown' as const] : []),
]

const STAFF = new Set<string>([...CAPABILITIES, 'assignee'])
const isForStaff = (verb: VerbName): boolean => verbOf(verb).edges.some(({ by }) => by.some((relation) => STAFF.has(relation))) && verb !== 'release'

const RELATIONS: Record<string, string> = {
  filer: '点单人', beneficiary: '受益人', guardian: '监护人', assignee: '承办人', co: '协办方', pending: '待审核的认领人', attendee: '报名的人', handler: '办结的承办人',
  first_contact: '首问责任人', anyone: '看得到的人', claimer: '经核实的认领人', file_for: '代办权限', on_the_spot: '代点并当场办结的工作人员', approve: '审批权限（上一级）', dispatch: '派单权限', publish: '上墙权限', follow_up: '回访权限', supervise: '督办权限', system: '系统',
}

function edgesInWords(verb: Transition): string {
  const label = (state: string) => (state === 'none' ? '—' : STATES[state as keyof typeof STATES].zh)
  return verbOf(verb).edges
    .map(({ from, to, by }) => `- ${from.map(label).join('、')} → ${to === 'same' ? '不变' : to.map(label).join('、')}（${by.map((relation) => RELATIONS[relation] ?? relation).join('、')}）`)
    .join('\n')
}
