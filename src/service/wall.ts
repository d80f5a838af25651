import { Problem } from '../domain/problems.ts'
import type { Kind } from '../domain/request.ts'
import { decodeCursor, pageOf, type Page } from './cursor.ts'
import { tenantHere, type Db } from './db.ts'
import { NO_SUCH_NODE } from './nodes.ts'
import { findNode } from './targets.ts'
import { tenant } from './tenants.ts'


interface Place { id: string; code: string; name: string }

export interface WallCard {
  id: string
  number: string
  kind: Kind
  item: { code: string; name: string }
  title: string
  text: string | null
  /** 小区/大院; null when it was placed above that level. */
  compound: Place | null
  slots: number
  slotsTaken: number
  placedAt: Date
}

export interface WallQuery {
  /** Id or code: the wall of this place and below. */
  node?: string | undefined
  cursor?: string | undefined
  limit: number
}

/**
 * What waits to be claimed, newest first. Columns are named one by one: nothing of the request but what stands here
 * may ever reach a wall, neither filed words nor persons, groups or doors.
 * @throws Problem not-found for a `node` that does not exist, cursor-unusable
 */
export async function wall(db: Db, { node, cursor, limit }: WallQuery): Promise<Page<WallCard>> {
  const { settings } = await tenant(db)
  const place = node === undefined ? undefined : await findNode(db, node)
  if (node !== undefined && !place) throw new Problem('not-found', { errors: [{ pointer: '/query/node', message: NO_SUCH_NODE }] })
  const { rows } = await db.app.query<WallCard>({
    name: cursor === undefined ? 'wall' : 'wall_on',
    text: `SELECT r.id, r.number, r.kind, jsonb_build_object('code', i.code, 'name', i.name) AS item, w.title, w.text, r.slots, r."slotsTaken", r."placedAt",
        (SELECT jsonb_build_object('id', c.id, 'code', c.code, 'name', c.name) FROM node c
          WHERE c."tenantId" = r."tenantId" AND c.code = ANY (string_to_array(r.path, '/')) AND c.level = $2) AS compound
      FROM request r
      JOIN wall_entry w ON w."tenantId" = r."tenantId" AND w."requestId" = r.id AND w."takenDownAt" IS NULL
      JOIN item i ON i."tenantId" = r."tenantId" AND i.id = r."itemId"
      WHERE r."tenantId" = $1 AND r.state = 'open' AND NOT r.confidential AND r.kind <> 'mediation'
        AND ($3::text IS NULL OR starts_with(r.path, $3)) ${cursor === undefined ? '' : 'AND r.id < $5'} ORDER BY r.id DESC LIMIT $4`,
    values: [tenantHere(), settings.wallLevel, place?.path ?? null, limit + 1, ...(cursor === undefined ? [] : [decodeCursor(cursor, ID)])],
  })
  return pageOf(rows, limit, ({ id }) => id)
}

/** PostgreSQL would refuse any other shape with an error of its own. */
const ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
