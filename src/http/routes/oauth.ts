import formbody from '@fastify/formbody'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { SUBJECT_TOKEN_TYPES } from '../../service/exchange.ts'
import { ACCESS_TOKEN, GRANT_ERRORS, GrantRefused, type GrantDeps, type TokenRequest } from '../../service/grant-request.ts'
import { GRANT_TYPES, grantToken } from '../../service/grants.ts'
import { publicKeys } from '../../service/tokens.ts'
import { LANGUAGE_TAG, languageOf } from '../language.ts'
import { sendProblem } from '../problem-json.ts'
import { InputRefused } from '../validation.ts'

const parameter = z.string().max(4_096).optional()
/** Id tokens carry what the issuer likes. */
const LONGEST_TOKEN = 16_384

/** Unknown parameters are ignored (RFC 6749, 3.2). */
const TokenBody = z
  .looseObject({
    grant_type: parameter.describe(GRANT_TYPES.join('、')),
    client_id: parameter.describe('也可用 HTTP Basic 传送'),
    client_secret: parameter,
    username: z.string().trim().max(64).optional().describe('工号；grant_type=password 时必填'),
    password: parameter.describe('启用动态口令的，可在密码后空一格再写 6 位数字：密码 123456'),
    totp: z.string().max(32).optional().describe('动态口令的 6 位数字，或一个恢复码；也可写在密码之后'),
    nonce: z.string().max(512).optional().describe('换取时与 id_token 的 nonce 比对'),
    refresh_token: parameter.describe('grant_type=refresh_token 时必填'),
    subject_token: z.string().max(LONGEST_TOKEN).optional().describe('令牌交换时必填：provider:appId:openId、此人自己的 access_token，或统一身份认证的 id_token'),
    subject_token_type: parameter.describe(SUBJECT_TOKEN_TYPES.join('、')),
    requested_token_type: parameter.describe(`只能是 ${ACCESS_TOKEN}`),
    actor_token: parameter.describe('不支持'),
    scope: parameter.describe('以空格分隔；不填则为全部可用的 scope'),
    tenant: parameter.describe('租户代码；只有一个租户时可不填'),
  })
  .meta({ id: 'TokenRequest', examples: [{ grant_type: 'client_credentials', client_id: 'demo-app', client_secret: '…' }] })

const TokenAnswer = z
  .strictObject({
    access_token: z.string(),
    token_type: z.literal('Bearer'),
    expires_in: z.int().describe('有效秒数'),
    issued_token_type: z.literal(ACCESS_TOKEN).optional().describe('仅令牌交换时（RFC 8693）'),
    refresh_token: z.string().optional().describe('仅 grant_type=password 时；用它可在 12 小时内换取新的 access_token'),
    scope: z.string(),
  })
  .meta({ id: 'TokenAnswer', description: '访问令牌，放在请求头 Authorization: Bearer … 中使用' })

const TokenError = z
  .strictObject({ error: z.enum(GRANT_ERRORS), error_description: z.string() })
  .meta({ id: 'TokenError', description: '未能换取令牌（RFC 6749 §5.2）', examples: [{ error: 'invalid_grant', error_description: '工号或密码不正确' }] })

interface Deps extends GrantDeps {
  /** The wall clock, in milliseconds. */
  clock: () => number
}

/** The token endpoint. What RFC 6749 has words for is refused in its shape, the rest (429, 5xx…) as everywhere. */
export const oauthRoutes = (deps: Deps): FastifyPluginAsyncZod => async (app) => {
  await app.register(formbody)
  app.setErrorHandler((error, request, reply) => refuse(asRefusal(error), request, reply))
  app.addHook('onRequest', (_request, reply, done) => {
    reply.headers({ 'cache-control': 'no-store', pragma: 'no-cache' })
    done()
  })
  app.post('/oauth/token', {
    config: { public: true, problems: ['person-not-registered'] },
    schema: {
      tags: ['登录'], operationId: 'createToken', summary: '换取访问令牌',
      description: '第三方应用用 client_credentials；代表居民时用令牌交换（RFC 8693），居民首次出现即登记，权限取应用和此人的交集。工作人员在本页右上角 Authorize 处用工号和密码登录；启用动态口令的，密码后空一格再写 6 位数字（密码 123456），缺少时回答 400 mfa_required。接入统一身份认证的租户，client_id=swagger-ui 以 id_token 作令牌交换即可登录，系统内没有账号的人回答 403。连续失败多次后须等待。',
      consumes: ['application/x-www-form-urlencoded', 'application/json'],
      body: TokenBody, response: { 200: TokenAnswer, 400: TokenError, 401: TokenError },
    },
  }, async ({ body, headers, ip }) => {
    const { accessToken, refreshToken, issuedTokenType, expiresIn, scopes } = await grantToken(deps, tokenRequest(body, headers.authorization, ip), deps.clock())
    return {
      access_token: accessToken, token_type: 'Bearer' as const, expires_in: expiresIn, scope: scopes.join(' '),
      ...(refreshToken !== undefined && { refresh_token: refreshToken }),
      ...(issuedTokenType !== undefined && { issued_token_type: issuedTokenType }),
    }
  })

  app.get('/.well-known/jwks.json', {
    config: { public: true },
    schema: { tags: ['登录'], operationId: 'getJwks', summary: '验证令牌的公钥', description: '轮换期间新旧公钥并列，新的在前。', response: { 200: JwksSchema } },
  }, async (_request, reply) => reply.removeHeader('pragma').header('cache-control', 'public, max-age=300').send({ keys: publicKeys(deps.keyring) }))
}

const JwksSchema = z
  .strictObject({ keys: z.array(z.strictObject({ kid: z.string(), kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: z.string(), alg: z.literal('EdDSA'), use: z.literal('sig') })) })
  .meta({ id: 'Jwks', description: '验证访问令牌的公钥（RFC 7517、RFC 8037）' })

function tokenRequest(body: z.infer<typeof TokenBody>, authorization: string | undefined, address: string): TokenRequest {
  const { grant_type: grantType, tenant, username, password, refresh_token: refreshToken, scope, client_id: id, client_secret: secret = '', subject_token: subjectToken, subject_token_type: subjectTokenType,
    requested_token_type: requestedTokenType, actor_token: actorToken, totp, nonce } = body
  const byHeader = basic(authorization)
  if (byHeader && id && id !== byHeader.id) throw new GrantRefused('invalid_request', 'client_id 前后不一', 'Two different client_ids')
  return { grantType: grantType || undefined, address, totp: totp || undefined, nonce: nonce || undefined, tenant, username, password, refreshToken, scope, subjectToken, subjectTokenType, requestedTokenType, actorToken, client: byHeader ?? (id ? { id, secret } : undefined) }
}

/** RFC 6749, 2.3.1: both parts form-encoded. `Og==` is what Swagger UI sends when its client id is left empty. */
function basic(authorization: string | undefined): TokenRequest['client'] {
  if (authorization === undefined) return undefined
  const encoded = /^Basic +([A-Za-z0-9+/]+={0,2})$/i.exec(authorization)?.[1]
  const [, id, secret] = /^([^:]*):(.*)$/s.exec(Buffer.from(encoded ?? '', 'base64').toString()) ?? []
  if (id === undefined || secret === undefined) throw new GrantRefused('invalid_client', '读不懂 Authorization 请求头', 'The Authorization header cannot be read')
  return id === '' && secret === '' ? undefined : { id: formDecoded(id), secret: formDecoded(secret) }
}

/** Many clients send both parts as they are. */
function formDecoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return text
  }
}

const UNREADABLE = new Set(['FST_ERR_CTP_INVALID_JSON_BODY', 'FST_ERR_CTP_INVALID_CONTENT_LENGTH', 'body-malformed'])

/** What is wrong with the request as such is `invalid_request`. */
function asRefusal(error: unknown): unknown {
  const unreadable = error instanceof Error && 'code' in error && typeof error.code === 'string' && UNREADABLE.has(error.code)
  if (!unreadable && !(error instanceof InputRefused)) return error
  return new GrantRefused('invalid_request', '请求内容不符合要求：应为表单或 JSON，参数均为文本且不重复', 'Expected a form or JSON, each parameter a string and given once')
}

/** The RFC wants `error_description` in ASCII; those who read it here want Chinese. */
function refuse(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (!(error instanceof GrantRefused)) return sendProblem(error, request, reply)
  const language = languageOf(request.headers['accept-language'])
  const unknownClient = error.error === 'invalid_client'
  // A browser would answer the challenge with a login window of its own, over Swagger UI's.
  const byScript = request.headers['x-requested-with'] === 'XMLHttpRequest'
  if (unknownClient && !byScript) reply.header('www-authenticate', 'Basic realm="wish-wall", charset="UTF-8"')
  reply.headers({ 'content-language': LANGUAGE_TAG[language], vary: 'accept-language' })
  return reply.code(unknownClient ? 401 : 400).send({ error: error.error, error_description: error.description[language] })
}
