import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { cursor, instant, limit, listQuery, uuid } from '../../domain/atoms.ts'
import { AUDIT_ACTIONS, AUDIT_ACTION_CODES, AUDIT_CLASSES, AUDIT_OBJECTS } from '../../domain/audit.ts'
import { listAudit, listCheckpoints } from '../../service/audit-log.ts'
import type { Db } from '../../service/db.ts'
import type { Keyring } from '../../service/keyring.ts'
import { PageSchema } from '../request-schema.ts'

const actions = Object.entries(AUDIT_ACTIONS).map(([code, { zh }]) => `${code} ${zh}`).join('，')

const EntrySchema = z
  .strictObject({
    id: uuid,
    at: instant,
    action: z.enum(AUDIT_ACTION_CODES).describe(`做了什么：${actions}`),
    class: z.enum(AUDIT_CLASSES).describe('system 系统管理，security 安全管理，data 数据'),
    actor: z.strictObject({
      kind: z.enum(['person', 'app', 'system']),
      id: uuid.nullable().describe('人员 id'),
      app: uuid.nullable().describe('应用 id：应用自己，或本人所用的应用'),
      duty: uuid.nullable().describe('以哪项职责；多项职责而未说明时为 null'),
    }).describe('谁'),
    object: z.strictObject({ kind: z.enum(AUDIT_OBJECTS), id: uuid.nullable() }).describe('对什么'),
    details: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null(), z.array(z.string())])).describe('代码、编号和数量，没有个人信息'),
    reason: z.string().nullable().describe('当时说明的理由；没有或已删除为 null'),
    call: z.string().nullable().describe('X-Request-Id'),
  })
  .meta({ id: 'AuditEntry', description: '审计记录：只增不改' })

const CheckpointSchema = z
  .strictObject({
    n: z.string().describe('哈希链到这里有多少环'),
    position: z.string().describe('事件流中的位置'),
    hash: z.string().describe('最后一环的 HMAC-SHA-256，十六进制'),
    at: z.iso.datetime(),
    previous: z.string().describe('上一个检查点的 n'),
    anchor: z.boolean().describe('链的起点：更早的不在链中，或已过保存期'),
    kid: z.string(),
    signature: z.string().describe('Ed25519，base64url；签名内容是八行文字：wish-wall/audit、checkpoint（起点为 anchor）、n、position、hash、at、previous、kid，以换行相接'),
  })
  .meta({ id: 'AuditCheckpoint', description: '签了名的检查点：请另行保存，用 audit:verify --checkpoints 核对' })

const KeySchema = z.strictObject({ kid: z.string(), kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: z.string() })

/** 审计: who did what; and the proof that nobody changed it afterwards. */
export const auditRoutes = ({ db, keyring }: { db: Db; keyring: Keyring }): FastifyPluginAsyncZod => async (app) => {
  app.get('/v1/audit', {
    config: { audience: 'staff', problems: ['cursor-unusable'] },
    schema: {
      tags: ['审计'], summary: '审计记录', operationId: 'listAudit',
      description: '谁在什么时间、以什么职责、对什么做了什么，最新的在前。须由对整个租户有审计权限（audit）的人本人查阅；查阅也记一次，每人每小时至多一条。点单的办理过程见该点单的事件。',
      querystring: z.strictObject({
        action: listQuery(z.enum(AUDIT_ACTION_CODES)).optional().describe('只看这些，逗号分隔'),
        actor: uuid.optional().describe('只看这个人或应用做的'),
        object: uuid.optional().describe('只看对它做的'),
        from: instant.optional().describe('从这时起'),
        to: instant.optional().describe('到这时之前'),
        limit, cursor: cursor.optional(),
      }),
      response: { 200: z.strictObject({ data: z.array(EntrySchema), page: PageSchema }) },
    },
  }, ({ query, actor }) => listAudit(db, query, actor))

  app.get('/v1/audit/checkpoints', {
    config: { audience: 'staff', problems: ['cursor-unusable'] },
    schema: {
      tags: ['审计'], summary: '哈希链检查点', operationId: 'listAuditCheckpoints',
      description: '哈希链连接事件流、点单历史和审计记录，每 1000 环或每分钟签一个检查点；最新的在前。存放在别处，日后就能发现链尾被截断或全链被重写。keys 是验签的公钥。',
      querystring: z.strictObject({ limit, cursor: cursor.optional() }),
      response: { 200: z.strictObject({ data: z.array(CheckpointSchema), page: PageSchema, keys: z.array(KeySchema) }) },
    },
  }, ({ query, actor }) => listCheckpoints(db, keyring, query, actor))
}
