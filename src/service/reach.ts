import type { PersonActor } from '../domain/actor.ts'
import type { Capability } from '../domain/machine.ts'
import { remember, tenantHere, type Db } from './db.ts'
import { HELD, HOLDER } from './holders.ts'

/**
 * Whose turn a step is: the nearest holder's, at the node itself or above it. Of one who holds a capability at a node that
 * is all below it, but for what has a nearer holder.
 */
export interface Reach {
  /** Paths of the nodes where he holds it. */
  mine: string[]
  /** Codes of the nodes below them where others do. */
  others: string[]
}

/** Who holds a duty may be this old. */
const TTL_MS = 2_000

/** Resolved when it is read: stand-ins count while they stand in, the suspended do not, nor do retired nodes. */
export async function reach(db: Db, actor: PersonActor, capability: Capability): Promise<Reach> {
  const mine = [...new Set(actor.duties.filter((duty) => duty.organisationId === null && duty.capabilities.includes(capability)).map(({ path }) => path))].sort()
  if (mine.length === 0) return { mine, others: [] }
  return remember(db, `reach/${tenantHere()}/${capability}/${mine.join()}`, TTL_MS, async () => {
    const { rows } = await db.app.query<{ code: string }>({
      name: 'reach_others',
      text: `SELECT DISTINCT n.code FROM unnest($3::text[]) m
        JOIN node n ON n."tenantId" = $1 AND n.path > m AND n.path < left(m, -1) || '0' AND n.path <> ALL ($3::text[]) AND n."retiredAt" IS NULL
        JOIN duty d ON d."tenantId" = $1 AND d."nodeId" = n.id AND d."organisationId" IS NULL AND ${HELD}
        JOIN role ro ON ro."tenantId" = $1 AND ro.code = d."roleCode" AND $2 = ANY (ro.capabilities)
        JOIN person p ON p."tenantId" = $1 AND p.id = ${HOLDER} AND p."suspendedAt" IS NULL`,
      values: [tenantHere(), capability, mine],
    })
    return { mine, others: rows.map(({ code }) => code) }
  })
}

/** Whether the path, an SQL expression, is within the reach that a parameter holds as JSON. `above`: only what lies below the holder's node (or at the root), whoever holds it at the path itself. */
export function within(path: string, p: string, { above = false } = {}): string {
  const between = `string_to_array(substr(${path}, length(m) + 1), '/')`
  return `EXISTS (SELECT FROM jsonb_array_elements_text(${p} -> 'mine') m WHERE starts_with(${path}, m)${above ? ` AND (${path} <> m OR strpos(m, '/') = length(m))` : ''}
    AND NOT ${above ? `(${between})[:cardinality(${between}) - 2]` : between} && ARRAY(SELECT jsonb_array_elements_text(${p} -> 'others')))`
}
