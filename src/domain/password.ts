import { z } from 'zod'
import { says } from './problems.ts'

const FEWEST_CHARACTERS = 10
const FEWEST_DIFFERENT = 5

/**
 * One that a person chooses. Length counts, not the sort of characters (NIST SP 800-63B, 5.1.1.2); no trimming, for a
 * blank may be part of it.
 */
export const newPassword = z
  .string()
  .min(FEWEST_CHARACTERS)
  .max(128)
  .refine((value) => new Set(value).size >= FEWEST_DIFFERENT, {
    params: says(`至少要有 ${FEWEST_DIFFERENT} 个不同的字符`, `At least ${FEWEST_DIFFERENT} different characters`), abort: true,
  })
  .describe(`新密码，至少 ${FEWEST_CHARACTERS} 个字符`)
