import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { CLAIMER_KINDS } from '../../domain/actor.ts'
import { code, cursor, flagQuery, instant, limit, listQuery, text, uuid } from '../../domain/atoms.ts'
import { END_REASONS, ENROLMENT_STATES, REJECT_REASONS, TIES } from '../../domain/enrolment.ts'
import { ORGANISATION_KIND_NAMES } from '../../domain/organisations.ts'
import { says } from '../../domain/problems.ts'
import { uscc } from '../../domain/uscc.ts'
import { listEnrolments, readEnrolment } from '../../service/affiliations.ts'
import type { Db } from '../../service/db.ts'
import { endEnrolment, enrol, rejectEnrolment, verifyEnrolment } from '../../service/enrolments.ts'
import type { Keyring } from '../../service/keyring.ts'
import { revealApplicant } from '../../service/reveals.ts'
import { PageSchema } from '../request-schema.ts'
import { RevealedSchema, RevealSchema } from '../reveal-schema.ts'

const ref = z.union([uuid, code])
const EXAMPLE_ID = '0195f2a0-7c1e-7abc-8def-0123456789ab'
const kindWords = 'party_member 党员，volunteer 志愿者，individual 爱心人士，enterprise 爱心企业（代办人），dual_unit 双报到单位职工'
const tieWords = 'home 组织关系所在支部（双报到单位职工为所在单位），residence 居住地支部'
const stateWords = 'pending 待核实，verified 已核实，rejected 不予通过，ended 已结束'

const EnrolmentSchema = z
  .strictObject({
    id: uuid,
    kind: z.enum(CLAIMER_KINDS).describe(kindWords),
    tie: z.enum(TIES).nullable().describe(tieWords),
    organisation: z.strictObject({ id: uuid, code: z.string(), name: z.string(), kind: z.enum(ORGANISATION_KIND_NAMES), uscc: z.string().nullable() }),
    person: z.strictObject({ id: uuid, login: z.string().nullable(), name: z.string().nullable().describe('脱敏的姓名') }),
    state: z.enum(ENROLMENT_STATES).describe(stateWords),
    reason: z.string().nullable().describe('不予通过或结束的原因代码'),
    decidedBy: uuid.nullable().describe('核实人'),
    appliedAt: instant,
    verifiedAt: instant.nullable(),
    rejectedAt: instant.nullable(),
    endedAt: instant.nullable(),
  })
  .meta({ id: 'Enrolment', description: '报到：经核实即为归属' })

const DetailSchema = EnrolmentSchema
  .extend({ applicant: z.strictObject({ name: z.string().nullable(), phone: z.string().nullable() }).nullable().describe('报到人脱敏的姓名和电话：只给有权核实的人，只在待核实期间；明文用 reveal 查看') })
  .meta({
    id: 'EnrolmentDetail', description: '报到',
    examples: [{
      id: EXAMPLE_ID, kind: 'party_member', tie: 'residence', organisation: { id: EXAMPLE_ID, code: 'YQHF-DZB', name: '银雀华府小区党支部', kind: 'branch', uscc: null },
      person: { id: EXAMPLE_ID, login: null, name: '郑**' }, state: 'pending', reason: null, decidedBy: null,
      appliedAt: '2026-11-21T01:00:00.000Z', verifiedAt: null, rejectedAt: null, endedAt: null,
      applicant: { name: '郑**', phone: '138****8000' },
    }],
  })

const EITHER = says('organisation 和 enterprise 填写其一', 'Give either organisation or enterprise')
const ONLY_ENTERPRISES = says('只有 kind 为 enterprise 时可填', 'Only where kind is enterprise')
const NewEnrolmentSchema = z
  .strictObject({
    kind: z.enum(CLAIMER_KINDS).describe(kindWords),
    organisation: ref.optional().describe('向哪个组织报到：id、代码或统一社会信用代码'),
    tie: z.enum(TIES).optional().describe(`${tieWords}；党员和双报到单位职工缺省 home，两处都可报到（双找、双报到）`),
    enterprise: z.strictObject({
      name: text({ max: 60 }).describe('企业名称'), uscc: uscc.describe('统一社会信用代码（GB 32100）'), node: ref.describe('向哪里报到：节点 id 或代码'),
    }).optional().describe('尚未登记的企业；其余代办人以 organisation 各自报到'),
  })
  .refine(({ organisation, enterprise }) => (organisation === undefined) !== (enterprise === undefined), { path: ['organisation'], params: EITHER })
  .refine(({ kind, enterprise }) => kind === 'enterprise' || enterprise === undefined, { path: ['enterprise'], params: ONLY_ENTERPRISES })
  .meta({ id: 'NewEnrolment', examples: [{ kind: 'party_member', organisation: 'YQHF-DZB', tie: 'residence' }] })

const params = z.strictObject({ id: uuid.describe('报到 id') })
const tags = ['报到']

/** 报到: people apply, the branch verifies; only who is verified claims. */
export const enrolmentRoutes = ({ db, keyring }: { db: Db; keyring: Keyring }): FastifyPluginAsyncZod => async (app) => {
  app.post('/v1/enrolments', {
    config: { problems: ['organisation-unknown', 'node-unknown', 'already-enrolled', 'limit-reached'] },
    schema: { tags, summary: '报到', operationId: 'createEnrolment', description: '由本人提出，由该组织核实；核实以后才能认领心愿。', body: NewEnrolmentSchema, response: { 201: DetailSchema } },
  }, async ({ body, actor }, reply) => {
    const enrolment = await enrol(db, keyring, body, actor)
    reply.code(201).header('location', `/v1/enrolments/${enrolment.id}`)
    return enrolment
  })

  app.get('/v1/enrolments', {
    config: { audience: 'staff', problems: ['not-found', 'cursor-unusable'] },
    schema: {
      tags, summary: '报到列表', operationId: 'listEnrolments', description: '新的在前：自己的，以及有权核实的（该组织所在节点的 administer 或 dispatch）。',
      querystring: z.strictObject({
        node: ref.optional().describe('节点 id 或代码：在它及以下的组织').meta({ examples: ['YQHF'] }),
        organisation: ref.optional().describe('组织 id 或代码'),
        state: listQuery(z.enum(ENROLMENT_STATES)).optional().describe(`${stateWords}；多个用逗号分隔`),
        kind: z.enum(CLAIMER_KINDS).optional().describe(kindWords),
        mine: flagQuery.optional().describe('只看自己的'),
        limit,
        cursor: cursor.optional(),
      }),
      response: { 200: z.strictObject({ data: z.array(EnrolmentSchema), page: PageSchema }) },
    },
  }, ({ query, actor }) => listEnrolments(db, keyring, query, actor))

  app.get('/v1/enrolments/:id', {
    config: { audience: 'staff', problems: ['not-found'] },
    schema: { tags, summary: '查看报到', operationId: 'getEnrolment', params, response: { 200: DetailSchema } },
  }, (request) => readEnrolment(db, keyring, request.params.id, request.actor))

  app.post('/v1/enrolments/:id/reveal', {
    config: { audience: 'staff', problems: ['not-found', 'own-ask', 'enrolment-decided', 'person-erased', 'rate-limited'], keyed: false },
    schema: { tags, summary: '查看报到人明文', operationId: 'revealEnrolment', description: '有权核实的人，待核实期间。每次查看都有记录，每人每天有上限。', params, body: RevealSchema, response: { 200: RevealedSchema } },
  }, (request) => revealApplicant(db, keyring, request.params.id, request.body, request.actor))

  app.post('/v1/enrolments/:id/verify', {
    config: { audience: 'staff', problems: ['not-found', 'own-ask', 'enrolment-decided'] },
    schema: {
      tags, summary: '核实报到', operationId: 'verifyEnrolment', description: '由该组织所在节点有 administer 或 dispatch 权限的人核实；不能核实自己的。',
      params, response: { 200: DetailSchema },
    },
  }, (request) => verifyEnrolment(db, keyring, request.params.id, request.actor))

  app.post('/v1/enrolments/:id/reject', {
    config: { audience: 'staff', problems: ['not-found', 'own-ask', 'enrolment-decided'] },
    schema: {
      tags, summary: '不予通过', operationId: 'rejectEnrolment', params,
      body: z.strictObject({
        reason: z.enum(REJECT_REASONS).describe('not_found 查无此人，wrong_organisation 不属于本组织，incomplete 资料不全，unverifiable 无法核实，other 其他'),
      }).meta({ id: 'RejectEnrolmentBody', examples: [{ reason: 'wrong_organisation' }] }),
      response: { 200: DetailSchema },
    },
  }, (request) => rejectEnrolment(db, keyring, request.params.id, request.body.reason, request.actor))

  app.post('/v1/enrolments/:id/end', {
    config: { audience: 'staff', problems: ['not-found', 'enrolment-decided'] },
    schema: {
      tags, summary: '结束归属', operationId: 'endEnrolment', description: '由该组织结束，或由本人退出、撤回。', params,
      body: z.strictObject({ reason: z.enum(END_REASONS).optional().describe('moved 迁出，left 退出，disqualified 取消资格，other 其他') })
        .meta({ id: 'EndEnrolmentBody', examples: [{ reason: 'moved' }] }).nullish(),
      response: { 200: DetailSchema },
    },
  }, (request) => endEnrolment(db, keyring, request.params.id, request.body?.reason, request.actor))
}
