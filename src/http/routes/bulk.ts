import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { code, instant, uuid } from '../../domain/atoms.ts'
import { BODIES } from '../../domain/bodies.ts'
import { pascal } from '../../domain/derive.ts'
import { TRANSITIONS, verbOf, type Callable } from '../../domain/machine.ts'
import { KINDS } from '../../domain/request.ts'
import { actOnEach, actOnMany, keyed, outcomeOf, type Outcome } from '../../service/bulk.ts'
import { startBulk } from '../../service/bulk-operation.ts'
import type { Db } from '../../service/db.ts'
import type { Proposal } from '../../service/duplicates.ts'
import { onceEach, onceWhole } from '../../service/idempotency.ts'
import type { Keyring } from '../../service/keyring.ts'
import { file } from '../../service/requests.ts'
import { FiledSchema, FilingQuerySchema } from '../filed-schema.ts'
import { IdempotencyHeaders } from '../idempotent.ts'
import { answerOnce } from '../keyed-posts.ts'
import { ListFilterShape } from '../list-schema.ts'
import { problemWithin } from '../problem-json.ts'
import { RequestSchema, StateSchema } from '../request-schema.ts'
import { InputRefused } from '../validation.ts'
import { VERB_EXAMPLES } from '../verb-examples.ts'

const MOST = 200
const MIB = 1024 * 1024
/** Two hundred acts, on a busy machine. */
const PATIENCE_MS = 60_000

const ref = z.union([uuid, code])

const KEYED = ['idempotency-key-reused', 'idempotency-in-flight'] as const

const ProblemSchema = z.looseObject({ code: z.string(), status: z.int(), title: z.string() }).describe('如单件办理时的问题')
const outcome = {
  status: z.int().describe('这一件的 HTTP 状态'),
  request: RequestSchema.optional(),
  problem: ProblemSchema.optional(),
}
const FiledOneSchema = z.strictObject({ key: z.string().nullable(), ...outcome, request: FiledSchema.optional() }).meta({ id: 'BatchOutcome', description: '批量点单中一件的结果' })
const ActedSchema = z.strictObject({ ref: z.string().describe('请求中的 id 或单号'), ...outcome }).meta({ id: 'BulkOutcome', description: '批量办理中一件的结果' })

const BatchSchema = z.strictObject({
  data: z.array(z.looseObject({
    key: z.string().min(1).max(64).optional().describe('离线端自己的编号：24 小时内重发同一编号不会重复点单，回答与第一次相同'),
  })).min(1).max(MOST).describe('每件的内容同 POST /v1/requests，另可带 key'),
}).meta({ id: 'BatchBody', examples: [{ data: [{ key: 'visit-1', item: 'corridor-light', title: '3号楼1单元楼道灯不亮', node: 'YQHF-03-1', source: 'visit' }] }] })

const FilterSchema = z.strictObject({
  ...ListFilterShape, state: z.array(StateSchema).min(1).max(12).optional(), kind: z.array(z.enum(KINDS)).min(1).optional(),
  overdue: z.boolean().optional(), mine: z.union([z.boolean(), z.enum(['filed', 'assigned', 'organisation'])]).optional(), filedFrom: instant.optional(), filedTo: instant.optional(),
}).describe('同 GET /v1/requests 的条件；符合条件的都办理，在后台进行')

const AcceptedSchema = z.strictObject({ operation: uuid.describe('见 GET /v1/operations/{id}') })

/** 批量: many at once, each for itself; what is wrong with one harms none of the others. */
export const bulkRoutes = ({ db, keyring }: { db: Db; keyring: Keyring }): FastifyPluginAsyncZod => async (app) => {
  app.post('/v1/requests/batch', {
    bodyLimit: 2 * MIB, handlerTimeout: PATIENCE_MS,
    config: { audience: 'staff', problems: KEYED },
    schema: {
      tags: ['点单'], summary: '批量点单', operationId: 'fileRequests', description: `一次最多 ${MOST} 件，按先后，每件各自成败；可安全重发（每件带 key、externalRef，或整批带 Idempotency-Key）。`,
      headers: IdempotencyHeaders, querystring: FilingQuerySchema, body: BatchSchema, response: { 200: z.strictObject({ data: z.array(FiledOneSchema) }) },
    },
  }, (request, reply) => once(request, reply, async () => {
    const data = []
    for (const [index, { key, ...given }] of request.body.data.entries()) {
      data.push({ key: key ?? null, ...answered(await filed(request, index, key, given, request.query.duplicates ?? 'staff'), request, 201) })
    }
    return { data }
  }))

  /** Each is once by itself; under an Idempotency-Key the whole is, too, and answered byte for byte, unless something of it may come out better next time. */
  function once<T extends { data: { status: number; problem?: { code: string } | undefined }[] }>(request: FastifyRequest, reply: FastifyReply, run: () => Promise<T>): Promise<T> {
    if (typeof request.headers['idempotency-key'] !== 'string') return run()
    return answerOnce({ db, keyring }, request, reply, onceEach, async () => {
      const answer = await run()
      return { answer, passing: answer.data.some(({ status, problem }) => status >= 500 || problem?.code === 'idempotency-in-flight') }
    }) as never
  }

  function filed(request: FastifyRequest, index: number, key: string | undefined, given: object, duplicates: Proposal): Promise<Outcome> {
    const { actor } = request
    const header = request.headers['idempotency-key']
    const parsed = BODIES.file.safeParse(given)
    if (!parsed.success) return Promise.resolve({ ref: String(index), error: new InputRefused(BODIES.file, given, 'body') })
    const once = key !== undefined ? `batch/${key}` : typeof header === 'string' ? `${header}/${index}` : undefined
    return outcomeOf(String(index), () => (once === undefined ? file(db, parsed.data, actor, { keyring, duplicates })
      : keyed(db, keyring, actor, once, ['file', JSON.stringify(given)], (keep) => file(db, parsed.data, actor, { keep, keyring, duplicates }))))
  }

  for (const verb of TRANSITIONS) mountVerb(verb)

  /** One door for every row of the machine's table. */
  function mountVerb(verb: Callable): void {
    const { number, body: example } = VERB_EXAMPLES[verb]
    const body = z.looseObject({
      ids: z.array(ref).min(1).max(MOST).refine((ids) => new Set(ids).size === ids.length, 'repeated').optional().describe(`点单 id 或单号，最多 ${MOST} 件`),
      filter: FilterSchema.optional(),
      versions: z.record(ref, z.int().min(1)).optional().describe('看到的版本，按 ids 中的写法；已变更的那一件回答 412').meta({ examples: [{ [number]: 1 }] }),
    }).meta({ id: `Bulk${pascal(verb)}Body`, description: `ids 与 filter 须且只须给一个；其余字段同 POST /v1/requests/{id}/${verb}`, examples: [{ ids: [number], ...example }] })
    app.post(`/v1/bulk/${verb}`, {
      handlerTimeout: PATIENCE_MS,
      config: { audience: 'staff', problems: ['too-many', 'not-found', ...KEYED] },
      schema: {
        tags: ['点单'], summary: `批量${verbOf(verb).zh}`, operationId: `bulk${pascal(verb)}`,
        description: `按先后逐件办理，每件各有结果，互不影响。给 filter 的在后台进行，回答 202。带 Idempotency-Key 重发时，已办成的不会再办。`,
        headers: IdempotencyHeaders, body, response: { 200: z.strictObject({ data: z.array(ActedSchema) }), 202: AcceptedSchema },
      },
    }, async (request, reply) => {
      const { ids, filter, versions, ...given } = request.body
      if ((ids === undefined) === (filter === undefined)) throw new InputRefused(EITHER, request.body, 'body')
      const schema: z.ZodType<object> = BODIES[verb]
      const parsed = schema.safeParse(given)
      if (!parsed.success) throw new InputRefused(schema, given, 'body')
      const key = request.headers['idempotency-key']
      if (ids === undefined) {
        const start = async () => {
          const operation = await startBulk(db, keyring, verb, filter!, given, request.actor)
          reply.code(202).header('location', `/v1/operations/${operation}`)
          return { operation }
        }
        return typeof key === 'string' ? await answerOnce({ db, keyring }, request, reply, onceWhole, async () => ({ answer: await start() })) as never : start()
      }
      return once(request, reply, async () => {
        const outcomes = typeof key === 'string'
          ? await actOnEach(db, keyring, verb, ids, parsed.data as never, request.actor, key, versions) : await actOnMany(db, verb, ids, parsed.data as never, request.actor, versions)
        return { data: outcomes.map((one) => ({ ref: one.ref, ...answered(one, request, 200) })) }
      })
    })
  }
}

/** Says what is wrong where neither is given, or both. */
const EITHER = z.union([z.looseObject({ ids: z.array(z.string()), filter: z.undefined() }), z.looseObject({ ids: z.undefined(), filter: z.looseObject({}) })])

const answered = ({ request, error }: Outcome, within: FastifyRequest, status: number) =>
  (request === undefined ? problemWithin(error, within) : { status, request }) as { status: number; request?: z.output<typeof RequestSchema>; problem?: z.output<typeof ProblemSchema> }
