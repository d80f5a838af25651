import type { FastifyContextConfig } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { code, cursor, instant, limit, listQuery, text, uuid } from '../../domain/atoms.ts'
import { CHANNELS, CHANNEL_NAMES, DEFAULT_EVENT_TYPES } from '../../domain/robot.ts'
import { MESSAGE_STATES, listMessages, testRobot } from '../../service/robot-log.ts'
import { createRobot, listRobots, readRobot, removeRobot, updateRobot, type RobotDeps } from '../../service/robots.ts'
import { PageSchema } from '../request-schema.ts'

const channel = z.enum(CHANNEL_NAMES).describe(Object.entries(CHANNELS).map(([name, zh]) => `${name} ${zh}`).join('，'))

const RobotSchema = z
  .strictObject({
    id: uuid,
    channel,
    name: z.string(),
    url: z.string().describe('已隐去密钥'),
    signed: z.boolean().describe('是否有加签密钥；密钥不再显示'),
    node: z.strictObject({ id: uuid, code: z.string(), name: z.string() }).describe('只说这个节点及以下的事'),
    eventTypes: z.array(z.string()),
    status: z.enum(['enabled', 'paused']),
    failures: z.int().describe('上次成功以来失败的次数'),
    failingSince: instant.nullable(),
    reason: z.string().nullable()
      .describe('上次未成功的原因：throttled 发送过快，token 地址失效，signature 加签不符，keyword 缺少关键词，ip 不在白名单，timeout 超时等'),
    code: z.string().nullable().describe('平台的错误码'),
    holdUntil: instant.nullable().describe('在此之前不发送：限流、失败后的等待'),
    waiting: z.int().describe('等待发送的件数'),
    deliveredAt: instant.nullable().describe('上次发送成功的时间'),
    createdAt: instant,
  })
  .meta({ id: 'Robot', description: '群机器人' })

const url = text({ max: 2048 }).describe('群机器人设置里的 Webhook 地址，整行复制；只接受该平台的主机或系统允许的主机')
const secret = text({ max: 200 }).nullable().describe('加签密钥（钉钉 SEC…、飞书签名校验）；企业微信没有')
const node = z.union([uuid, code])
const eventTypes = z.array(text({ max: 64 })).min(1).max(50).describe(`事件类型、\`request.*\` 或 \`*\`，见 /v1/event-types；缺省为 ${DEFAULT_EVENT_TYPES.join('、')}`)
const name = text({ max: 60 }).describe('名称，如群名')

const NewRobotSchema = z
  .strictObject({ channel, name, node: node.describe('节点 id 或代码，含下级'), url, secret: secret.optional(), eventTypes: eventTypes.optional() })
  .meta({ id: 'NewRobot', examples: [{
    channel: 'wecom', name: '银雀华府网格群', node: 'YQHF', url: 'https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=00000000-0000-0000-0000-000000000000',
  }] })

const ChangeSchema = z
  .strictObject({
    name: name.optional(), node: node.optional().describe('节点 id 或代码，含下级'), url: url.optional(), secret: secret.optional(), eventTypes: eventTypes.optional(),
    status: z.enum(['enabled', 'paused']).optional().describe('paused：不再发送，等待的取消，暂停期间的事不补发'),
  })
  .meta({ id: 'RobotChange', examples: [{ eventTypes: ['request.dispatched', 'request.escalated'] }] })

const MessageSchema = z
  .strictObject({
    id: uuid, type: z.string().describe('事件类型；测试为 robot.test'), number: z.string().nullable().describe('单号；测试为 null'), urgent: z.boolean(),
    state: z.enum(MESSAGE_STATES).describe('pending 等待，leased 正在发送，delivered 已发送，exhausted 放弃，cancelled 因暂停或删除而取消'),
    nextAt: instant.nullable().describe('最早何时发送'), attempts: z.int().describe('失败的次数'),
    reason: z.string().nullable(), code: z.string().nullable().describe('平台的错误码'),
    createdAt: instant, endedAt: instant.nullable(),
  })
  .meta({ id: 'RobotMessage', description: '机器人消息' })

const id = uuid.describe('机器人 id')
const params = z.strictObject({ id })
const config = (...problems: NonNullable<FastifyContextConfig['problems']>): FastifyContextConfig => ({ problems: ['not-found', ...problems] })

/** 机器人: group robots of WeCom, DingTalk and Feishu, kept by those who administer their place. */
export const robotRoutes = ({ db, keyring, robots }: RobotDeps): FastifyPluginAsyncZod => async (app) => {
  app.post('/v1/robots', {
    config: { problems: ['node-unknown', 'robot-taken', 'limit-reached'] },
    schema: {
      tags: ['机器人'], summary: '登记群机器人', operationId: 'createRobot',
      description: '此后该节点及以下的事件发到群里：单号、事项、地点、时限和链接；保密件和调解只有单号、类别、社区和时限。'
        + '每分钟至多 20 条，集中到达的合并为一条。不急的消息在免打扰时段和非工作时间攒到下一个工作时间。每条消息都含“心愿墙”，可用作自定义关键词。需要对该节点有管理权限（administer）。',
      body: NewRobotSchema, response: { 201: RobotSchema },
    },
  }, async ({ body, actor }, reply) => {
    const robot = await createRobot({ db, keyring, robots }, body, actor)
    reply.code(201).header('location', `/v1/robots/${robot.id}`)
    return robot
  })

  app.get('/v1/robots', {
    config: { problems: ['cursor-unusable'] },
    schema: {
      tags: ['机器人'], summary: '群机器人列表', operationId: 'listRobots', description: '所管理节点及以下的，最新的在前。',
      querystring: z.strictObject({ limit, cursor: cursor.optional() }), response: { 200: z.strictObject({ data: z.array(RobotSchema), page: PageSchema }) },
    },
  }, ({ query, actor }) => listRobots(db, query, actor))

  app.get('/v1/robots/:id', {
    config: config(), schema: { tags: ['机器人'], summary: '查看群机器人', operationId: 'getRobot', params, response: { 200: RobotSchema } },
  }, (request) => readRobot(db, request.params.id, request.actor))

  app.patch('/v1/robots/:id', {
    config: config('node-unknown', 'robot-taken'),
    schema: {
      tags: ['机器人'], summary: '修改群机器人', operationId: 'updateRobot', description: '没有写的不变。换地址时请一并填写新的加签密钥，旧密钥不沿用；secret 为 null 则去掉。',
      params, body: ChangeSchema, response: { 200: RobotSchema },
    },
  }, (request) => updateRobot({ db, keyring, robots }, request.params.id, request.body, request.actor))

  app.delete('/v1/robots/:id', {
    config: config(),
    schema: {
      tags: ['机器人'], summary: '删除群机器人', operationId: 'deleteRobot', description: '地址和密钥随即销毁，等待的消息取消。', params, response: { 204: z.null() },
    },
  }, async (request, reply) => {
    await removeRobot(db, request.params.id, request.actor)
    return reply.code(204).send(null)
  })

  app.post('/v1/robots/:id/test', {
    config: config('limit-reached'),
    schema: {
      tags: ['机器人'], summary: '测试发送', operationId: 'testRobot', description: '发一条测试消息，只发一次，暂停和免打扰时也发；结果见消息列表。',
      params, response: { 202: MessageSchema },
    },
  }, async (request, reply) => reply.code(202).send(await testRobot(db, request.params.id, request.actor)))

  app.get('/v1/robots/:id/messages', {
    config: config('cursor-unusable'),
    schema: {
      tags: ['机器人'], summary: '机器人消息', operationId: 'listRobotMessages', description: '最新的在前，含等待的和未发出的原因。', params,
      querystring: z.strictObject({ state: listQuery(z.enum(MESSAGE_STATES)).optional(), limit, cursor: cursor.optional() }),
      response: { 200: z.strictObject({ data: z.array(MessageSchema), page: PageSchema }) },
    },
  }, (request) => listMessages(db, request.params.id, request.query, request.actor))
}
