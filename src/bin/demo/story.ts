import type { Actor } from '../../domain/actor.ts'
import type { Body } from '../../domain/bodies.ts'
import type { Transition } from '../../domain/machine.ts'
import type { Db } from '../../service/db.ts'
import { act, file } from '../../service/requests.ts'
import type { Who } from './cast.ts'
import { photo, type Scene, type Shelf } from './photos.ts'

/** A request from its filing to where it stands, told by the verbs that any caller has. */
export interface Story {
  by: Who | 'app'
  /** 代点: in whose name. */
  filer?: Who
  beneficiary?: Who
  /** Of a child: has consented in the child's place. */
  guardian?: Who
  file: Omit<Body<'file'>, 'filer' | 'beneficiary' | 'guardian'>
  then?: readonly Turn[]
  photo?: Scene
}

export interface Stage {
  db: Db
  shelf: Shelf
  actor(who: Who | 'app'): Actor
  id(who: Who): string
}

type Turn = (stage: Stage, request: string) => Promise<unknown>

export const does = <V extends Transition>(who: Who, verb: V, input: Body<V>): Turn =>
  ({ db, actor }, request) => act(db, verb, request, input, actor(who))

/** Done, with a photo to prove it. */
export const pictured = (who: Who, scene: Scene, input: Omit<Body<'complete'>, 'attachments'>): Turn => async ({ db, shelf, actor }, request) =>
  act(db, 'complete', request, { ...input, attachments: [await photo({ ...shelf, db }, scene, actor(who))] }, actor(who))

/** Numbers of a day before there was a wall: the examples in the documentation name them, and no real one can be the same. */
const numberOf = (index: number): string => `WX20261001-${String(index + 1).padStart(6, '0')}`

/** Filed one after the other, so that lists and walls look the same each time; then each goes its own way. */
export async function play(stage: Stage, stories: readonly Story[]): Promise<void> {
  const filed: { request: string; then: readonly Turn[] }[] = []
  for (const [index, { then = [], ...story }] of stories.entries()) filed.push({ request: await begin(stage, story, numberOf(index)), then })
  await Promise.all(filed.map(async ({ request, then }) => {
    for (const turn of then) await turn(stage, request)
  }))
}

/** @param number of its own day when left out */
export async function begin({ db, shelf, actor, id }: Stage, { by: asks, filer: said, beneficiary, guardian, photo: scene, file: words }: Story, number?: string): Promise<string> {
  // A resident knows nobody's id: whoever asks for a neighbour has the grid worker write it down.
  const [by, filer] = beneficiary !== undefined && said === undefined && asks !== 'app' ? ['gridWorker' as const, asks] : [asks, said]
  const named = { ...(filer && { filer: id(filer) }), ...(beneficiary && { beneficiary: id(beneficiary) }), ...(guardian && { guardian: id(guardian) }) }
  const attachments = scene && { attachments: [await photo({ ...shelf, db }, scene, actor(by))] }
  const request = await file(db, { consents: [toTheWall(guardian)], ...words, ...named, ...attachments }, actor(by), { keyring: shelf.keyring, ...(number !== undefined && { number }) })
  return request.id
}

/** Whoever files in the demo has agreed to the wall, a child's guardian in its place: else only verified claimers would see it. */
const toTheWall = (guardian: Who | undefined): NonNullable<Body<'file'>['consents']>[number] => ({ purpose: 'wall', by: guardian ? 'guardian' : 'self', how: 'app' })
