import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { Db } from '../../service/db.ts'
import type { Keyring } from '../../service/keyring.ts'
import type { Lockout } from '../../service/lockout.ts'
import { confirmTotp, enrolTotp, removeTotp } from '../../service/totp.ts'

const CodeSchema = z
  .strictObject({ code: z.string().min(6).max(32).describe('6 位数字') })
  .meta({ id: 'TotpCode', examples: [{ code: '123456' }] })

const config = { audience: 'staff' as const, oncePassword: true as const }
const tags = ['我的']

interface Deps {
  db: Db
  keyring: Keyring
  lockout: Lockout
}

/** 动态口令: one's own second factor. */
export const totpRoutes = (deps: Deps): FastifyPluginAsyncZod => async (app) => {
  app.post('/v1/me/totp', {
    config: { ...config, problems: ['totp-enrolled', 'no-account'] },
    schema: {
      tags, summary: '申请动态口令', operationId: 'enrolTotp', description: '把 uri 做成二维码扫入任何身份验证器，或手工输入 secret，再用 6 位数字确认；确认之前不生效。只显示这一次。',
      response: {
        201: z.strictObject({ secret: z.string().describe('Base32'), uri: z.string().describe('otpauth://totp/…') }).meta({ id: 'TotpEnrolment', description: '待确认的动态口令' }),
      },
    },
  }, async ({ actor }, reply) => reply.code(201).header('cache-control', 'no-store').send(await enrolTotp(deps, actor)))

  app.post('/v1/me/totp/confirm', {
    // No key: a wrong guess must stay counted, and what a key keeps is undone with a refusal.
    config: { ...config, keyed: false, problems: ['totp-not-enrolled', 'no-account', 'rate-limited'] },
    schema: {
      tags, summary: '确认动态口令', operationId: 'confirmTotp', description: '从此登录须带动态口令，其他登录随之失效。恢复码各用一次，只显示这一次。', body: CodeSchema,
      response: { 200: z.strictObject({ recoveryCodes: z.array(z.string()).describe('手机不在身边时代替动态口令') }).meta({ id: 'RecoveryCodes', description: '恢复码' }) },
    },
  }, async ({ body, actor }, reply) => reply.header('cache-control', 'no-store').send({ recoveryCodes: await confirmTotp(deps, body.code, actor) }))

  app.post('/v1/me/totp/remove', {
    config: { ...config, keyed: false, problems: ['totp-not-enrolled', 'no-account', 'rate-limited'] },
    schema: { tags, summary: '停用动态口令', operationId: 'removeTotp', description: '凭一个动态口令或恢复码。', body: CodeSchema, response: { 204: z.null().describe('已停用') } },
  }, async ({ body, actor }, reply) => {
    await removeTotp(deps, body.code, actor)
    return reply.code(204).send(null)
  })
}
