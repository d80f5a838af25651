import { describe, expect, test } from 'vitest'
import type { ClaimerKind } from '../../src/domain/actor.ts'
import { tieOf, type Tie } from '../../src/domain/enrolment.ts'
import { ORGANISATION_KIND_NAMES, type OrganisationKind } from '../../src/domain/organisations.ts'
import { Problem } from '../../src/domain/problems.ts'

const made = (kind: ClaimerKind, tie: Tie | undefined, organisation: OrganisationKind): string | null => {
  try {
    return tieOf(kind, tie, organisation)
  } catch (error) {
    return (error as Problem).errors[0]!.pointer
  }
}

describe('who enrols where', () => {
  test.each<[ClaimerKind, Tie | undefined, OrganisationKind, string | null]>([
    ['party_member', undefined, 'branch', 'home'],
    ['party_member', 'residence', 'branch', 'residence'],
    ['party_member', 'home', 'party_committee', 'home'],
    ['party_member', 'residence', 'party_committee', '/organisation'],
    ['party_member', undefined, 'property', '/organisation'],
    ['dual_unit', undefined, 'dual_unit', 'home'],
    ['dual_unit', 'residence', 'community_party', 'residence'],
    ['dual_unit', 'residence', 'dual_unit', '/organisation'],
    ['dual_unit', 'home', 'branch', '/organisation'],
    ['volunteer', undefined, 'volunteer_team', null],
    ['volunteer', undefined, 'branch', null],
    ['volunteer', 'home', 'branch', '/tie'],
    ['volunteer', undefined, 'enterprise', '/organisation'],
    ['individual', undefined, 'branch', null],
    ['individual', undefined, 'volunteer_team', '/organisation'],
    ['enterprise', undefined, 'enterprise', null],
    ['enterprise', undefined, 'property', '/organisation'],
    ['enterprise', 'residence', 'enterprise', '/tie'],
  ])('%s, %s, at %s: %s', (kind, tie, organisation, expected) => expect(made(kind, tie, organisation)).toBe(expected))

  test('nobody enrols at an owners’ committee or a property firm', () => {
    for (const kind of ['party_member', 'volunteer', 'individual', 'enterprise', 'dual_unit'] as const) {
      for (const organisation of ['property', 'owners_committee', 'self_mgmt', 'alliance_unit'] as const) expect(made(kind, undefined, organisation)).toBe('/organisation')
    }
    expect(ORGANISATION_KIND_NAMES).toHaveLength(11)
  })
})
