import { isId } from './load.ts'

/** An id, or the code that people know: the two parameters that `named` reads. */
export const refPair = (ref: string | null | undefined): [id: string | null, code: string | null] =>
  ref === null || ref === undefined ? [null, null] : isId(ref) ? [ref, null] : [null, ref]

/** SQL for the row of this tenant that the pair at parameters n and n + 1 names. Both sides have an index. */
export const named = (alias: string, key: 'code' | 'login' | 'clientId', n: number): string =>
  `${alias}."tenantId" = $1 AND (${alias}.id = $${n}::uuid OR ${alias}."${key}" = $${n + 1})`
