import pg from 'pg'
import { Problem } from '../domain/problems.ts'
import { Prisma } from './generated/client.ts'

/** What a failed statement means: by SQLSTATE and constraint name, never by message, through whichever client it went. */

interface Said {
  /** SQLSTATE; where no server answered, the code of Node or of Prisma; empty where there is none. */
  code: string
  constraint?: string | undefined
}

function said(error: unknown): Said {
  if (error instanceof pg.DatabaseError) return { code: error.code ?? '', constraint: error.constraint }
  if (error instanceof Prisma.PrismaClientKnownRequestError) return throughPrisma(error)
  return { code: error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '' }
}

/** P2002 and the like are Prisma's reading of it; its adapter keeps what the server said. */
function throughPrisma({ code, meta }: Prisma.PrismaClientKnownRequestError): Said {
  const { cause } = (meta?.driverAdapterError ?? {}) as { cause?: { originalCode?: string; constraint?: { index?: string } } }
  return { code: cause?.originalCode ?? code, constraint: cause?.constraint?.index }
}

const refusedBy = (sqlstate: string) => (error: unknown, constraint: string): boolean => {
  const { code, constraint: named } = said(error)
  return code === sqlstate && named === constraint
}

/** A unique key is taken. */
export const violates = refusedBy('23505')

/** A foreign key finds nothing. */
export const lacks = refusedBy('23503')

/** Our own undo, a deadlock or a lock that did not come: decide again. */
const AGAIN = new Set(['WW409', '40001', '40P01', '55P03'])
export const isWorthAnotherTry = (error: unknown): boolean => AGAIN.has(said(error).code) && !isKeyHeld(error)

/** A twin under the same Idempotency-Key does not end: waiting for it once more would be for nothing. */
export const isKeyHeld = (error: unknown): boolean => error instanceof pg.DatabaseError && error.code === '55P03' && (error.where?.includes('"idempotency_pkey"') ?? false)

/**
 * Connection gone, too many of them, statement cancelled, server stopping or read-only (failover); P1001 not reachable,
 * P1008 timed out, P1017 closed, P2028 no transaction in time.
 */
const AWAY = /^(08|53|57|25006|ECONN|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENOTFOUND|EAI_AGAIN|P10(01|08|17)|P2028)/
/** Failures of the driver's own, which gives them no code. */
const AWAY_MESSAGE = /^(timeout exceeded|timeout expired|Connection terminated|Query read timeout|Client has encountered a connection error|Client was closed)/

/** A database that is away is `overloaded` (503, try again), anything else stays what it is. Asked once, where answers leave. */
export function asProblem(error: unknown): unknown {
  const { code } = said(error)
  if (AWAY.test(code) || (error instanceof Error && code === '' && AWAY_MESSAGE.test(error.message))) return new Problem('overloaded', { cause: error })
  return error
}
