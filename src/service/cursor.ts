import { Problem } from '../domain/problems.ts'

/** Opaque to callers: a position in an order, base64url. */
export const encodeCursor = (position: string): string => Buffer.from(position).toString('base64url')

/** @throws Problem cursor-unusable when it is not one of ours */
export function decodeCursor(cursor: string, shape: RegExp): string {
  const position = Buffer.from(cursor, 'base64url').toString()
  if (!shape.test(position)) throw new Problem('cursor-unusable')
  return position
}

export interface Page<T> {
  data: T[]
  page: { nextCursor: string | null; hasMore: boolean }
}

/** One row more than asked for was read: it tells whether there is more. */
export function pageOf<T>(rows: T[], limit: number, positionOf: (row: T) => string): Page<T> {
  const data = rows.slice(0, limit)
  const hasMore = rows.length > limit
  const last = data.at(-1)
  return { data, page: { nextCursor: hasMore && last !== undefined ? encodeCursor(positionOf(last)) : null, hasMore } }
}
