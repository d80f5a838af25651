import { tenantHere, type Reader } from './db.ts'
import { tenant } from './tenants.ts'

export interface Place { id: string; code: string; name: string }

/** A node as answers show it, with the finest place above it that a wall may name. */
export interface PlaceOnMap {
  node: Place
  path: string
  level: string
  compound: Place | null
  /** The one below the root; null for the root itself. */
  community: Place | null
}

/** A node that is renamed shows its old name for so long. */
const PLACE_TTL_MS = 60_000

const PLACES = `
  SELECT n.path, n.level, jsonb_build_object('id', n.id, 'code', n.code, 'name', n.name) AS node,
    (SELECT jsonb_build_object('id', c.id, 'code', c.code, 'name', c.name) FROM node c
      WHERE c."tenantId" = n."tenantId" AND c.code = ANY (string_to_array(n.path, '/')) AND c.level = $3) AS compound,
    (SELECT jsonb_build_object('id', c.id, 'code', c.code, 'name', c.name) FROM node c
      WHERE c."tenantId" = n."tenantId" AND c.code = split_part(n.path, '/', 2)) AS community
  FROM node n WHERE n."tenantId" = $1 AND n.id = ANY ($2::uuid[])`

/** Nodes by id, remembered: every answer names two, and they hardly ever change. One query for all that are not known. */
export async function places(db: Reader, ids: readonly string[]): Promise<(id: string) => PlaceOnMap> {
  const key = (id: string) => `place/${tenantHere()}/${id}`
  const known = new Map<string, PlaceOnMap>()
  const unknown = new Set<string>()
  for (const id of ids) {
    const remembered = db.memory.get(key(id)) as Promise<PlaceOnMap> | undefined
    if (remembered) known.set(id, await remembered)
    else unknown.add(id)
  }
  if (unknown.size > 0) {
    const { settings } = await tenant(db)
    const { rows } = await db.app.query<PlaceOnMap>({ name: 'places', text: PLACES, values: [tenantHere(), [...unknown], settings.wallLevel] })
    for (const row of rows) {
      known.set(row.node.id, row)
      db.memory.set(key(row.node.id), Promise.resolve(row), { ttl: PLACE_TTL_MS })
    }
  }
  return (id) => {
    const place = known.get(id)
    if (!place) throw new Error(`node ${id} does not exist`)
    return place
  }
}
