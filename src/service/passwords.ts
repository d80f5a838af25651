import { createHash, randomBytes } from 'node:crypto'
import { hash, verify } from '@node-rs/argon2'

/** argon2id; 19 MiB and two passes (OWASP Password Storage Cheat Sheet) take about 18 ms of one core. */
const COST = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }

/** RFC 8265: a keyboard's way of composing a character is not part of the password. */
const composed = (password: string): string => password.normalize('NFC')

export const hashPassword = (password: string): Promise<string> => hash(composed(password), COST)

/** 96 random bits: shown once, and good for choosing another. */
export const oneTimePassword = (): string => randomBytes(12).toString('base64url')

/** Nobody's password, made when first needed. */
let decoy: Promise<string> | undefined

/** Takes as long for a login that does not exist, or has no password, as for one that does. */
export async function passwordFits(passwordHash: string | null | undefined, password: string): Promise<boolean> {
  const fits = await verify(passwordHash ?? (await (decoy ??= hashPassword(''))), composed(password))
  return fits && typeof passwordHash === 'string'
}

/** Changes when the password does; says nothing about it, the hash being salted. */
export const passwordMark = (passwordHash: string): string => createHash('sha256').update(passwordHash).digest('base64url').slice(0, 16)
