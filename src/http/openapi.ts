import swagger, { type SwaggerTransform } from '@fastify/swagger'
import type { FastifyContextConfig, FastifyInstance, FastifySchema } from 'fastify'
import { createJsonSchemaTransform, createJsonSchemaTransformObject } from 'fastify-type-provider-zod'
import { globalRegistry, type $ZodType, type $ZodTypes, type JSONSchema } from 'zod/v4/core'
import { rightAsJson, rightInWords } from '../domain/right.ts'
import { RIGHTS } from '../domain/rights.ts'
import { SCOPES } from '../domain/scopes.ts'
import { withProblems } from './openapi-problems.ts'
import { tidy, type Document } from './openapi-tidy.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whom the operation is for besides integrators; `staff` operations make up the short document. */
    audience?: 'staff'
  }
}

/** In reading order; a document lists those it uses. */
export const TAGS = [
  { name: '登录', description: '换取访问令牌' },
  { name: '点单', description: '居民点单，以及从受理到结案的每一步' },
  { name: '心愿墙', description: '公开展示的心愿' },
  { name: '我的', description: '我的待办、通知和职责' },
  { name: '网格', description: '街道、社区、小区、楼栋、单元等节点和住户' },
  { name: '组织与人员', description: '组织和它们的所在' },
  { name: '人员', description: '人员和账号；个人信息一律脱敏' },
  { name: '职责', description: '谁在哪里、哪个组织任什么职，何人替班' },
  { name: '报到', description: '党员、志愿者、爱心人士、企业、双报到单位的报到与核实' },
  { name: '技能', description: '技能库、能人和派单人选' },
  { name: '应用', description: '第三方应用、密钥和 API Key' },
  { name: '服务菜单', description: '可以点什么' },
  { name: '时限', description: '时限、提醒和逐级升级的规则' },
  { name: '日历', description: '工作日历：工作时间、放假和调休、到期时间的推算' },
  { name: '走访与活动', description: '走访、专项行动、活动、议事和场地' },
  { name: '事件', description: '事件流和回调通知（Webhook）' },
  { name: '机器人', description: '企业微信、钉钉、飞书群机器人和免打扰时段' },
  { name: '统计', description: '响应率、解决率、满意率、按期办结率等，及其背后的点单' },
  { name: '积分', description: '办结的积分：个人、组织、双报到单位' },
  { name: '数据', description: '导入、导出、附件和后台任务' },
  { name: 'Open311', description: 'GeoReport v2 兼容接口' },
  { name: '审计', description: '谁在何时做了什么，及其校验' },
  { name: '运行', description: '健康检查和指标' },
]

const DESCRIPTION = `居民点单、组织派单、党员接单：心愿和需求从提出到回访的全过程。

- 时间一律为 RFC 3339，回答用 UTC（\`Z\`）；点单的 \`id\` 处也可用单号（\`WX20261121-000123\`）。
- 一人多职时，可用请求头 \`Acting-Duty\`（职责 id，见 \`GET /v1/me\`）指明以哪项职责办理，其余职责此次不计；不写则取最近的一项。
- 出错时回答 \`application/problem+json\`，程序请判断 \`code\`，说明见 \`/problems/{code}\`；文字默认为中文，\`Accept-Language: en\` 时为英文，\`code\` 不变。
- 任何地址还可能回答 \`method-not-allowed\`（405）、\`url-malformed\`、\`http-malformed\`（400）、\`headers-too-large\`（431）、\`sent-too-slowly\`（408）。
- 批量接口逐条作答：每条的问题与单独调用时相同；走访另有 \`client-id-reused\`（同一 clientId 用于不同的走访）。
- 未知的查询参数和字段一律拒绝（400）；回答可能增加字段，客户端应忽略不认识的。
- 每个回答都带 \`X-Request-Id\`，报障时请提供。`

/** Registers `app.swagger()`: one document of everything, from the routes as they are declared, and of what is sent. */
export function describeApi(app: FastifyInstance, webhooks?: Record<string, object>): void {
  app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: '心愿墙 Wish Wall API', version: '1.0.0', description: DESCRIPTION, license: { name: 'MIT', identifier: 'MIT' } },
      servers: [{ url: '/' }],
      tags: TAGS,
      security: [{ staffLogin: [] }, { appCredentials: [] }],
      components: {
        securitySchemes: {
          staffLogin: { type: 'oauth2', description: '工作人员：工号和密码；启用动态口令的，密码后空一格再写 6 位数字（密码 123456）', flows: { password: { tokenUrl: '/oauth/token', scopes } } },
          appCredentials: { type: 'oauth2', description: '第三方应用：clientId 和 clientSecret；脚本也可直接以 API Key（ww_live_…）作 Bearer 令牌', flows: { clientCredentials: { tokenUrl: '/oauth/token', scopes } } },
        },
      },
    },
    convertConstToEnum: false,
    transform,
    transformObject: (document) => withProblems(tidy({ ...wholeDocument(document) as unknown as Document, ...(webhooks && { webhooks }) })) as never,
  })
}

const scopes = Object.fromEntries(Object.entries(SCOPES).map(([scope, { zh }]) => [scope, zh]))

const zodToJsonConfig = { unrepresentable: 'any', override: plainer } as const
const operation = createJsonSchemaTransform({ zodToJsonConfig }) as SwaggerTransform
const wholeDocument = createJsonSchemaTransformObject({ zodToJsonConfig })

const transform: SwaggerTransform = (given) => {
  const bodies = (given.schema?.body as { content?: Record<string, { schema: $ZodType }> } | undefined)?.content
  const { schema, url } = operation(bodies ? withBody(given, undefined) : given)
  if (schema.hide) return { schema, url }
  // One operation may take its body as several types, each with a schema of its own.
  if (bodies) schema.body = { content: mapped(bodies, ({ schema: body }) => ({ schema: operation(withBody(given, body)).schema.body })) }
  const { config = {} } = given.route
  return {
    url,
    schema: {
      ...schema,
      ...securityOf(config),
      ...rightsOf(schema),
      ...(config.audience !== undefined && { 'x-audience': config.audience }),
      response: described(schema.response as Responses | undefined, given.schema),
    } as FastifySchema,
  }
}

type Given = Parameters<SwaggerTransform>[0]
const withBody = (given: Given, body: $ZodType | undefined): Given => ({ ...given, schema: { ...given.schema, body } }) as Given

const mapped = <T, U>(record: Record<string, T>, map: (value: T) => U): Record<string, U> => Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]))

function securityOf({ public: open, tokenOptional, scope }: FastifyContextConfig): Pick<FastifySchema, 'security'> {
  if (open && !tokenOptional) return { security: [] }
  return scope ? { security: [...(open ? [{}] : []), { staffLogin: [scope] }, { appCredentials: [scope] }] } : {}
}

/** Who may call it: for people at the end of the description, for programs as `x-rights`. */
function rightsOf({ operationId = '', description }: FastifySchema): object {
  const right = Object.hasOwn(RIGHTS, operationId) ? RIGHTS[operationId] : undefined
  return right ? { description: `${description === undefined ? '' : `${description}\n\n`}${rightInWords(right)}`, 'x-rights': rightAsJson(right) } : {}
}

type Responses = Record<string, Record<string, unknown>>

const OUTCOMES: Record<string, string> = { 200: '成功', 201: '已创建', 202: '已接受，稍后完成', 204: '成功，没有内容', 302: '转到别处', 303: '转到别处' }

/** A response says what it is by its schema's description, else by its status. */
function described(responses: Responses = {}, { response, produces = ['application/json'] }: FastifySchema): Responses {
  const declared = response as Record<string, $ZodType> | undefined
  return Object.fromEntries(
    Object.entries(responses).map(([status, json]) => {
      if (json.content !== undefined) return [status, json]
      const description = (declared?.[status] && globalRegistry.get(declared[status])?.description) ?? OUTCOMES[status] ?? '成功'
      if (json.type === 'null') return [status, { type: 'null', description }]
      return [status, { description, content: Object.fromEntries(produces.map((type) => [type, { schema: json }])) }]
    }),
  )
}

/** zod's schemas, without regular expressions that only say what `format` says. */
function plainer({ zodSchema, jsonSchema }: { zodSchema: $ZodType; jsonSchema: JSONSchema.BaseSchema }): void {
  const { def } = (zodSchema as $ZodTypes)._zod
  const meta = globalRegistry.get(zodSchema)
  if (jsonSchema.format !== undefined && meta?.pattern === undefined) delete jsonSchema.pattern
  if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum
  if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum
  if (jsonSchema.propertyNames !== undefined && Object.keys(jsonSchema.propertyNames).join() === 'type') delete jsonSchema.propertyNames
  if (def.type === 'date') Object.assign(jsonSchema, { type: 'string', format: 'date-time' })
  // zod leaves these out of inputs that are transformed on the way in, which most of ours are
  if (def.type === 'default') jsonSchema.default = def.defaultValue as JSONSchema.BaseSchema['default']
  if (Array.isArray(meta?.examples)) jsonSchema.examples = meta.examples as NonNullable<JSONSchema.BaseSchema['examples']>
  if (def.type === 'union' && 'discriminator' in def) Object.assign(jsonSchema, { discriminator: { propertyName: def.discriminator } })
}
