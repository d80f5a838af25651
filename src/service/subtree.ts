import { remember, tenantHere, type Db } from './db.ts'
import type { Piece } from './list-query.ts'

/** Up to so many nodes the newest of each are read and merged; above, the newest of all are read until enough lie in the subtree. */
const NEAR = 64
const SIZE_TTL_MS = 60_000

/**
 * What is quick in a small subtree is slow in a large one and the other way round: two forms, chosen here.
 * @param spans the list has an index of its own to go by
 */
export async function subtree(db: Db, path: string, { spans }: { spans: boolean }): Promise<Piece> {
  const { nodes } = await remember(db, `size/${tenantHere()}/${path}`, SIZE_TTL_MS, async () => {
    const { rows: [size] } = await db.app.query<{ nodes: number }>({
      name: 'subtree_size',
      text: `SELECT count(*)::int AS nodes FROM (SELECT FROM node WHERE "tenantId" = $1 AND path >= $2 AND path < $3 LIMIT ${NEAR + 1}) n`,
      values: [tenantHere(), path, above(path)],
    })
    return size ?? { nodes: 0 }
  })
  const inside = (p: string) => `starts_with(r.path, ${p})`
  if (nodes > NEAR || spans) return { name: 'wide', sql: inside, value: path }
  return {
    name: 'near', sql: inside, value: path,
    instead: { keys: (p) => `SELECT n.id FROM node n WHERE n."tenantId" = $1 AND n.path >= ${p} AND n.path < left(${p}, -1) || '0' ON r."responsibleNodeId" = k.id` },
  }
}

/** The first text after every path below: '0' follows '/'. */
const above = (path: string): string => `${path.slice(0, -1)}0`
