import { z } from 'zod'
import { says } from './problems.ts'

/** GB 32100-2015, 表3: digits and capitals without I, O, S, V, Z. A character's value is its place. */
const CHARACTERS = '0123456789ABCDEFGHJKLMNPQRTUWXY'
const SHAPE = /^[0-9A-HJ-NPQRTUWXY]{18}$/

/** GB 32100-2015, 4.2.5 with GB/T 17710: the eighteenth character makes the sum of value × 3^place divisible by 31. */
export function isUscc(code: string): boolean {
  if (!SHAPE.test(code)) return false
  let sum = 0
  let weight = 1
  for (const character of code.slice(0, 17)) {
    sum += CHARACTERS.indexOf(character) * weight
    weight = (weight * 3) % 31
  }
  return CHARACTERS[(31 - (sum % 31)) % 31] === code[17]
}

/** 统一社会信用代码, as typed: full-width and small letters and blanks are forgiven, a wrong digit is not. */
export const uscc = z
  .string()
  .max(64)
  .normalize('NFKC')
  .overwrite((value) => value.replace(/\s/g, '').toUpperCase())
  .refine(isUscc, { params: says('不是有效的统一社会信用代码', 'Not a valid unified social credit code'), abort: true })
  .meta({ pattern: SHAPE.source, examples: ['91350100M000100Y43'] })
