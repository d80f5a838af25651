import type { Actor } from '../domain/actor.ts'
import { Problem, says } from '../domain/problems.ts'
import { sought } from '../domain/search.ts'
import type { Db } from './db.ts'
import type { Keyring } from './keyring.ts'
import { named, namesakes } from './names.ts'
import { isName, looksAfterPeople } from './search.ts'

/** A condition on person `p`, with its value; `few` when those who meet it are known by their ids. */
export interface Found {
  name: string
  few: boolean
  sql: (parameter: string) => string
  value: unknown
}

export const ofSubjects = (subjects: readonly string[]): Found => ({ name: 'found', few: true, sql: (p) => `p."subjectId" = ANY (${p}::uuid[])`, value: subjects })

/**
 * 按姓名查人, for those who look after people.
 * @param q parts of the name, two characters each at least
 * @throws Problem forbidden, validation-failed at /query/q
 */
export async function peopleNamed(db: Db, keyring: Keyring, q: string, actor: Actor): Promise<Found[]> {
  const registers = actor.kind === 'person' && actor.duties.some(({ organisationId, capabilities }) => organisationId === null && capabilities.includes('administer'))
  if (!registers && !looksAfterPeople(actor)) throw new Problem('forbidden')
  const words = sought(q).terms.map(({ word }) => word)
  if (words.length === 0 || !words.every(isName)) {
    throw new Problem('validation-failed', { errors: [{ pointer: '/query/q', code: 'value', message: says('每个词至少两个字', 'Two characters in each word at least') }] })
  }
  return Promise.all(words.map(async (word): Promise<Found> => {
    const found = await namesakes(db, keyring, word)
    if ('subjects' in found) return ofSubjects(found.subjects)
    return { name: 'named', few: false, sql: (p) => named('p."subjectId"', `${p}::jsonb`), value: JSON.stringify(found.frequent) }
  }))
}
