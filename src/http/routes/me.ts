import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { uuid } from '../../domain/atoms.ts'
import { CAPABILITIES } from '../../domain/machine.ts'
import { SCOPE_NAMES } from '../../domain/scopes.ts'
import { welcomeClient } from '../../service/clients.ts'
import type { Db } from '../../service/db.ts'
import type { Keyring } from '../../service/keyring.ts'
import { profile } from '../../service/profile.ts'
import type { Caller } from '../auth.ts'

const Named = z.strictObject({ code: z.string(), name: z.string() })

const Me = z
  .strictObject({
    id: uuid,
    kind: z.enum(['person', 'app']),
    name: z.string().nullable().describe('本人姓名，不脱敏'),
    login: z.string().nullable().describe('工号；应用为 clientId'),
    duties: z.array(
      z.strictObject({
        id: uuid, role: z.string(), roleName: z.string(), capabilities: z.array(z.enum(CAPABILITIES)), node: Named,
        organisation: Named.nullable().describe('在组织内任职时'),
      }),
    ).describe('现任职责，包括替班'),
    affiliations: z.array(z.strictObject({ kind: z.string(), organisation: Named })).describe('已核实的归属'),
    scopes: z.array(z.enum(SCOPE_NAMES)).describe('本令牌可用的 scope'),
  })
  .meta({ id: 'Me', description: '当前登录者' })

interface Deps {
  db: Db
  keyring: Keyring
}

export const meRoutes = ({ db, keyring }: Deps): FastifyPluginAsyncZod => async (app) => {
  app.get('/v1/me', {
    config: { audience: 'staff' as const, oncePassword: true },
    schema: { tags: ['我的'], operationId: 'getMe', summary: '查看我是谁、有哪些职责', response: { 200: Me } },
  }, async ({ caller }) => me(db, keyring, caller))
}

async function me(db: Db, keyring: Keyring, { id, actor, scopes }: Caller): Promise<z.input<typeof Me>> {
  const shared = { id, scopes: [...scopes] }
  if (actor.kind === 'person') return { ...shared, kind: 'person', ...(await profile(db, keyring, actor)) }
  const client = await welcomeClient(db, id)
  return { ...shared, kind: 'app', name: client?.name ?? null, login: client?.clientId ?? null, duties: [], affiliations: [] }
}
