import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { code, cursor, flagQuery, instant, limit, listQuery, text, uuid } from '../../domain/atoms.ts'
import { BODIES } from '../../domain/bodies.ts'
import { CAPABILITIES, STATES, TRANSITIONS, verbOf, type Transition, type VerbName } from '../../domain/machine.ts'
import { Problem, says } from '../../domain/problems.ts'
import { KINDS } from '../../domain/request.ts'
import type { RequestView } from '../../domain/view.ts'
import type { Db } from '../../service/db.ts'
import { history } from '../../service/events.ts'
import type { Keyring } from '../../service/keyring.ts'
import { list } from '../../service/list.ts'
import { act, file, find } from '../../service/requests.ts'
import { IdempotencyHeaders, sendOnce } from '../idempotent.ts'
import { PageSchema, RequestSchema, StateSchema } from '../request-schema.ts'
import { VERB_EXAMPLES } from '../verb-examples.ts'

const ref = z.union([uuid, code]).describe('id 或单号')
const ifMatch = z.string().max(32).optional().describe('看到的版本（ETag）；已变更时回答 412')

const etag = ({ version }: RequestView) => ({ etag: `"${version}"` })

/** The version of `If-Match`. @throws Problem validation-failed for what is no ETag of ours */
function versionOf(header: string | undefined): number | undefined {
  if (header === undefined || header === '*') return undefined
  const written = /^"(\d{1,9})"$/.exec(header)?.[1]
  if (written === undefined) throw new Problem('validation-failed', { errors: [{ pointer: '/headers/if-match', code: 'format', message: says('应为带引号的版本号，如 "3"', 'Expected a quoted version such as "3"') }] })
  return Number(written)
}

const HistorySchema = z.strictObject({
  data: z.array(z.strictObject({
    seq: z.int(), verb: z.string(), from: z.string().nullable(), state: StateSchema, at: instant, cycle: z.int(),
    actorKind: z.enum(['person', 'app', 'system']), actor: uuid.nullable(), duty: uuid.nullable().describe('以什么职责办理'), onBehalfOf: uuid.nullable(),
    data: z.record(z.string(), z.json()), notes: z.array(z.strictObject({ field: z.string(), body: z.string() })),
  })),
})

/** 点单: filing, reading, and every verb of the machine. */
export const requestRoutes = (deps: { db: Db; keyring: Keyring }): FastifyPluginAsyncZod => async (app) => {
  const { db } = deps

  app.post('/v1/requests', {
    config: { audience: 'staff', scope: 'requests:write', problems: ['node-unknown', 'item-unknown', 'external-ref-taken', 'idempotency-key-reused', 'idempotency-in-flight'] },
    schema: {
      tags: ['点单'], summary: '点单', operationId: 'fileRequest', description: verbOf('file').says, headers: IdempotencyHeaders,
      body: BODIES.file.meta({
        id: 'FileBody',
        examples: [{ item: 'corridor-light', title: '3号楼1单元楼道灯不亮', description: '二层到三层之间，晚上看不清台阶', node: 'YQHF-03-1', source: 'phone' }],
      }),
      response: { 201: RequestSchema },
    },
  }, (request, reply) => sendOnce(deps, request, reply, 201, (answer: RequestView) => ({ ...etag(answer), location: `/v1/requests/${answer.id}` }),
    (keep) => file(db, request.body, request.actor, { keep })))

  app.get('/v1/requests', {
    config: { audience: 'staff', scope: 'requests:read', problems: ['not-found', 'cursor-unusable'] },
    schema: {
      tags: ['点单'], summary: '点单列表', operationId: 'listRequests', description: '按时间倒序。工作人员看到辖区内的点单，其他人看到自己点的和承办的，应用看到自己提交的。',
      querystring: z.strictObject({
        node: z.union([uuid, code]).optional().describe('节点 id 或代码，含下级'),
        state: listQuery(StateSchema).optional().describe('状态，多个用逗号分隔'),
        kind: listQuery(z.enum(KINDS)).optional(),
        item: code.optional().describe('服务菜单代码'),
        overdue: flagQuery.optional().describe('只看（不看）已超时的'),
        mine: flagQuery.optional().describe('只看我点的和我承办的'),
        externalRef: text({ max: 64 }).optional().describe('本应用自己的单号'),
        limit,
        cursor: cursor.optional(),
      }),
      response: { 200: z.strictObject({ data: z.array(RequestSchema), page: PageSchema }) },
    },
  }, ({ query, actor }) => list(db, query, actor))

  app.get('/v1/requests/:id', {
    config: { audience: 'staff', scope: 'requests:read', problems: ['request-not-found'] },
    schema: {
      tags: ['点单'], summary: '查看点单', operationId: 'getRequest', description: '辖区以外、与己无关的点单回答 404。',
      params: z.strictObject({ id: ref.meta({ examples: [VERB_EXAMPLES.accept.number] }) }), response: { 200: RequestSchema },
    },
  }, async ({ params, actor }, reply) => {
    const found = await find(db, params.id, actor)
    return reply.headers(etag(found)).send(found)
  })

  app.get('/v1/requests/:id/events', {
    config: { audience: 'staff', scope: 'requests:read', problems: ['request-not-found'] },
    schema: {
      tags: ['点单'], summary: '办理经过', operationId: 'listRequestEvents', description: '从点单到现在的每一步，按先后。',
      params: z.strictObject({ id: ref.meta({ examples: [VERB_EXAMPLES.accept.number] }) }), response: { 200: HistorySchema },
    },
  }, async ({ params, actor }) => ({ data: await history(db, params.id, actor) }))

  for (const verb of TRANSITIONS) mountVerb(verb)

  /** One door for every row of the machine's table. */
  function mountVerb(verb: Transition): void {
    const row = verbOf(verb)
    const { number, body } = VERB_EXAMPLES[verb as keyof typeof VERB_EXAMPLES]
    app.post(`/v1/requests/:id/${verb}`, {
      config: {
        ...(isForStaff(verb) ? { audience: 'staff' as const } : {}),
        scope: 'requests:write',
        problems: ['request-not-found', 'transition-refused', 'request-changed', 'version-mismatch', 'limit-reached', 'idempotency-key-reused', 'idempotency-in-flight', ...REFUSALS[verb] ?? []],
      },
      schema: {
        tags: ['点单'], summary: row.zh, operationId: operationId(verb), description: `${row.says}\n\n${edgesInWords(verb)}`,
        params: z.strictObject({ id: ref.meta({ examples: [number] }) }),
        headers: IdempotencyHeaders.extend({ 'if-match': ifMatch }),
        body: verbBody(verb, body),
        response: { 200: RequestSchema },
      },
    }, (request, reply) => sendOnce(deps, request, reply, 200, etag,
      (keep) => act(db, verb, request.params.id, (request.body ?? {}) as never, request.actor, { keep, version: versionOf(request.headers['if-match']) })))
  }
}

/** A verb without required fields may be called without a body. */
function verbBody(verb: Transition, example: object): z.ZodType<object | null | undefined> {
  const schema: z.ZodType<object> = BODIES[verb]
  const body = schema.meta({ ...schema.meta(), id: `${pascal(verb)}Body`, examples: [example] })
  return schema.safeParse({}).success ? body.nullish() : body
}

const REFUSALS: Partial<Record<Transition, NonNullable<import('fastify').FastifyContextConfig['problems']>>> = {
  place: ['not-for-the-wall', 'node-unknown'],
  'take-down': ['already-claimed'],
  dispatch: ['target-unknown', 'already-claimed'],
  redispatch: ['target-unknown'],
  claim: ['not-verified', 'own-wish', 'slots-taken', 'already-claimed', 'not-for-the-wall', 'target-unknown'],
  release: ['not-claimed'],
  respond: ['already-responded'],
  'follow-up': ['own-work'],
  rate: ['already-rated', 'window-over'],
}

const STAFF = new Set<string>([...CAPABILITIES, 'assignee'])
const isForStaff = (verb: VerbName): boolean => verbOf(verb).edges.some(({ by }) => by.some((relation) => STAFF.has(relation))) && verb !== 'release'

const pascal = (verb: string): string => verb.split('-').map((word) => word[0]!.toUpperCase() + word.slice(1)).join('')
const operationId = (verb: Transition): string => `${pascal(verb)[0]!.toLowerCase()}${pascal(verb).slice(1)}Request`

const RELATIONS: Record<string, string> = {
  filer: '点单人', beneficiary: '受益人', assignee: '承办人', claimer: '经核实的认领人', dispatch: '派单权限', publish: '上墙权限', follow_up: '回访权限', supervise: '督办权限', system: '系统',
}

function edgesInWords(verb: Transition): string {
  const label = (state: string) => (state === 'none' ? '—' : STATES[state as keyof typeof STATES].zh)
  return verbOf(verb).edges
    .map(({ from, to, by }) => `- ${from.map(label).join('、')} → ${to === 'same' ? '不变' : to.map(label).join('、')}（${by.map((relation) => RELATIONS[relation] ?? relation).join('、')}）`)
    .join('\n')
}
