import { ACTOR_TTL_MS } from './actors.ts'
import { remember, type Db } from './db.ts'

/**
 * Whether the pages of an origin may call for some live app of some tenant: a preflight says neither tenant nor app. All of
 * them are remembered together, so that origins made up by a stranger cost no query each.
 */
export async function isSomeonesOrigin(db: Db, origin: string): Promise<boolean> {
  const origins = await remember(db, 'cors-origins', ACTOR_TTL_MS, async () => {
    const { rows } = await db.system.query<{ origin: string }>({
      name: 'cors_origins', text: `SELECT DISTINCT unnest("corsOrigins") AS origin FROM client WHERE "revokedAt" IS NULL`,
    })
    return new Set(rows.map((row) => row.origin))
  })
  return origins.has(origin)
}
