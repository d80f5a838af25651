import { z } from 'zod'
import { Problem, says } from '../domain/problems.ts'

/** Of every POST on a request: it is done on the version that was seen, or not at all. */
export const IfMatchHeaders = z.looseObject({ 'if-match': z.string().max(32).optional().describe('看到的版本（ETag）；已变更时回答 412') })

/** The version of `If-Match`. @throws Problem validation-failed for what is no ETag of ours */
export function versionOf(header: string | undefined): number | undefined {
  if (header === undefined || header === '*') return undefined
  const written = /^"(\d{1,9})"$/.exec(header)?.[1]
  if (written === undefined) throw new Problem('validation-failed', { errors: [{ pointer: '/headers/if-match', code: 'format', message: says('应为带引号的版本号，如 "3"', 'Expected a quoted version such as "3"') }] })
  return Number(written)
}
