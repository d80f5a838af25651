import pg from 'pg'
import { Problem } from '../domain/problems.ts'

/** What a failed statement means: by SQLSTATE and constraint name, never by message. */

const codeOf = (error: unknown): string | undefined =>
  typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string' ? error.code : undefined

export const violates = (error: unknown, constraint: string): boolean =>
  error instanceof pg.DatabaseError && error.code === '23505' && error.constraint === constraint

/** A foreign key finds nothing. */
export const lacks = (error: unknown, constraint: string): boolean =>
  error instanceof pg.DatabaseError && error.code === '23503' && error.constraint === constraint

/** Our own undo, a deadlock or a lock that did not come: decide again. */
const AGAIN = new Set(['WW409', '40001', '40P01', '55P03'])
export const isWorthAnotherTry = (error: unknown): boolean => AGAIN.has(codeOf(error) ?? '')

/** Connection gone, too many of them, statement cancelled, server stopping or read-only (failover). */
const AWAY = /^(08|53|57|25006|ECONN|EPIPE|ETIMEDOUT|EHOSTUNREACH)/
const AWAY_MESSAGE = /timeout|Connection terminated|not queryable|connection error/i

/** A database that is away is `overloaded` (503, try again), anything else stays what it is. */
export function asProblem(error: unknown): unknown {
  const code = codeOf(error) ?? ''
  if (AWAY.test(code) || (error instanceof Error && code === '' && AWAY_MESSAGE.test(error.message))) return new Problem('overloaded', { cause: error })
  return error
}
