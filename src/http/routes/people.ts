import type { FastifyContextConfig } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { code, cursor, instant, limit, phone, text, uuid } from '../../domain/atoms.ts'
import { newPassword } from '../../domain/password.ts'
import { changePassword, resetPassword, resumePerson, suspendPerson, unlockPerson } from '../../service/accounts.ts'
import type { Db } from '../../service/db.ts'
import type { Keyring } from '../../service/keyring.ts'
import type { Lockout } from '../../service/lockout.ts'
import { resetTotp } from '../../service/totp.ts'
import { changePerson, listPeople, readPerson, registerPerson } from '../../service/people.ts'
import { PageSchema, PlaceSchema } from '../request-schema.ts'

const EXAMPLE_ID = '0195f2a0-7c1e-7abc-8def-0123456789ab'

const PersonSchema = z
  .strictObject({
    id: uuid,
    login: z.string().nullable().describe('工号；没有账号的为 null'),
    name: z.string().nullable().describe('脱敏的姓名'),
    phone: z.string().nullable().describe('脱敏的电话'),
    door: z.string().nullable().describe('是否登记了门牌：***'),
    node: PlaceSchema.nullable().describe('居住或工作的地点'),
    hasAccount: z.boolean(),
    suspendedAt: instant.nullable().describe('停用时间'),
    createdAt: instant,
  })
  .meta({
    id: 'Person', description: '人员',
    examples: [{
      id: EXAMPLE_ID, login: 'YQ0013', name: '胡**', phone: '138****8000', door: null, node: { id: EXAMPLE_ID, code: 'YQHF', name: '银雀华府' },
      hasAccount: true, suspendedAt: null, createdAt: '2026-11-21T01:00:00.000Z',
    }],
  })

const OneTime = { oneTimePassword: z.string().nullable().describe('一次性密码，只显示这一次；登录后须先修改。没有开设账号时为 null') }
const RegisteredSchema = PersonSchema.extend(OneTime).meta({ id: 'RegisteredPerson', description: '新登记的人员' })

const name = text({ max: 60 }).describe('姓名')
const door = text({ max: 60 }).describe('门牌')
const node = z.union([uuid, code]).describe('居住或工作的地点：节点 id 或代码')

const NewPersonSchema = z
  .strictObject({ name, phone: phone.optional(), door: door.optional(), node, login: code.optional().describe('工号；填写即开设账号') })
  .meta({ id: 'NewPerson', examples: [{ name: '王示例', phone: '13800138000', door: '3-1-502', node: 'YQHF-03-1' }] })

const PersonChangeSchema = z
  .strictObject({ name: name.optional(), phone: phone.nullish().describe('null 为删去'), door: door.nullish().describe('null 为删去'), node: node.optional() })
  .meta({ id: 'PersonChange', examples: [{ phone: '13900139000' }] })

const PasswordSchema = z
  .strictObject({ current: z.string().min(1).max(128).describe('现在的密码，或一次性密码'), password: newPassword })
  .meta({ id: 'PasswordChange', examples: [{ current: 'K3n-9vQx_20aLmPe', password: '墙上的灯今晚还亮着吗' }] })

const params = z.strictObject({ id: z.union([uuid, code]).describe('人员 id 或工号').meta({ examples: ['YQ0013'] }) })
const config = (...problems: NonNullable<FastifyContextConfig['problems']>): FastifyContextConfig => ({ problems: ['not-found', ...problems] })
const tags = ['人员']

interface Deps {
  db: Db
  keyring: Keyring
  lockout: Lockout
}

/** 人员: residents to file for, staff and their accounts. What is personal leaves masked. */
export const peopleRoutes = (deps: Deps): FastifyPluginAsyncZod => async (app) => {
  const { db, keyring } = deps

  app.post('/v1/people', {
    config: { audience: 'staff', problems: ['node-unknown'] },
    schema: {
      tags, summary: '登记人员', operationId: 'createPerson',
      description: '登记没有账号的居民以便代为点单（需要该地点的 file_for 或 administer）；填写工号则开设账号，回答中给出一次性密码（只限管理员本人）。',
      body: NewPersonSchema, response: { 201: RegisteredSchema },
    },
  }, async ({ body, actor }, reply) => {
    const person = await registerPerson(db, keyring, body, actor)
    reply.code(201).header('location', `/v1/people/${person.id}`)
    return person
  })

  app.get('/v1/people', {
    config: { audience: 'staff', problems: ['not-found', 'cursor-unusable'] },
    schema: {
      tags, summary: '人员列表', operationId: 'listPeople',
      description: '新登记的在前。工作人员看到辖区内居住、任职、归属的人；应用看到由它带来的居民；其他人看到自己。按电话查找须给出完整号码。',
      querystring: z.strictObject({
        node: z.union([uuid, code]).optional().describe('节点 id 或代码，含下级').meta({ examples: ['YQHF'] }),
        phone: phone.optional().describe('完整的电话号码'),
        q: text({ max: 60 }).optional().describe('姓名或其中至少两个字（繁简通用，空格分开的都要有）；需要 file_for、follow_up 或 administer').meta({ examples: ['王示例'] }),
        limit,
        cursor: cursor.optional(),
      }),
      response: { 200: z.strictObject({ data: z.array(PersonSchema), page: PageSchema }) },
    },
  }, ({ query, actor }) => listPeople(db, keyring, query, actor))

  app.get('/v1/people/:id', {
    config: { audience: 'staff', problems: ['not-found'] },
    schema: { tags, summary: '查看人员', operationId: 'getPerson', description: '辖区以外的人回答 404。', params, response: { 200: PersonSchema } },
  }, (request) => readPerson(db, keyring, request.params.id, request.actor))

  app.post('/v1/people/:id', {
    config: config('node-unknown', 'person-erased'),
    schema: {
      tags, summary: '更正人员信息', operationId: 'updatePerson', description: '没有写的不变。本人可以更正自己的电话和门牌；有账号的人由管理员更正。',
      params, body: PersonChangeSchema, response: { 200: PersonSchema },
    },
  }, (request) => changePerson(db, keyring, request.params.id, request.body, request.actor))

  app.post('/v1/people/:id/suspend', {
    config: config(),
    schema: { tags, summary: '停用人员', operationId: 'suspendPerson', description: '不能再登录，已发的令牌 5 秒内失效；手上的点单须另行改派。', params, response: { 200: PersonSchema } },
  }, async (request) => readPerson(db, keyring, await suspendPerson(db, request.params.id, request.actor), request.actor))

  app.post('/v1/people/:id/resume', {
    config: config(), schema: { tags, summary: '恢复人员', operationId: 'resumePerson', params, response: { 200: PersonSchema } },
  }, async (request) => readPerson(db, keyring, await resumePerson(db, request.params.id, request.actor), request.actor))

  app.post('/v1/people/:id/reset-password', {
    config: config('no-account'),
    schema: {
      tags, summary: '重置密码', operationId: 'resetPassword', description: '给出新的一次性密码，原密码和登录随之失效。须对此人所属和任职的每个地点都有管理权限。',
      params, response: { 200: z.strictObject({ oneTimePassword: z.string().describe('只显示这一次') }) },
    },
  }, (request) => resetPassword(db, request.params.id, request.actor))

  app.post('/v1/people/:id/unlock', {
    config: config('no-account'),
    schema: { tags, summary: '解除锁定', operationId: 'unlockPerson', description: '多次输错密码或动态口令后，不必等待即可再试。', params, response: { 200: PersonSchema } },
  }, async (request) => readPerson(db, keyring, await unlockPerson(deps, request.params.id, request.actor), request.actor))

  app.post('/v1/people/:id/reset-totp', {
    config: config('totp-not-enrolled'),
    schema: { tags, summary: '解除动态口令', operationId: 'resetTotp', description: '手机遗失时由安全管理员办理；必须启用动态口令的人登录后须重新启用。', params, response: { 204: z.null().describe('已解除') } },
  }, async (request, reply) => {
    await resetTotp(db, request.params.id, request.actor)
    return reply.code(204).send(null)
  })

  app.post('/v1/me/password', {
    // No key: a wrong guess must stay counted, and what a key keeps is undone with a refusal.
    config: { audience: 'staff', oncePassword: true, keyed: false },
    schema: {
      tags: ['我的'], summary: '修改密码', operationId: 'changePassword', description: '其他登录随之失效。原密码错误多次后须等待。', body: PasswordSchema,
      response: { 204: z.null().describe('已修改') },
    },
  }, async ({ body, actor }, reply) => {
    await changePassword(deps, body, actor)
    return reply.code(204).send(null)
  })
}
