import { OVERSEES } from './directory.ts'
import { operationOf, pascal } from './derive.ts'
import { TRANSITIONS, verbOf, type Relation, type VerbName } from './machine.ts'
import { isCapability, type Reach, type Right } from './right.ts'

/*
 * Who may call what: one row for every operation of the API, by its operationId. A route whose operation has no row does
 * not register, and a row without an operation fails `npm run check`. The authentication takes the scope from here; the
 * services decide about places and parties, and test/http/authorisation.test.ts calls every operation as everybody and
 * compares with this table.
 *
 * TO ADD AN OPERATION: write one line below, in the group of its path. `scope`: null where any token will do; `capability`:
 * what a duty must confer (one, a list, or 'none'); `relation`: over what (see `Reach` in right.ts). Say `otherwise` when
 * the answer without the right is not 403: NOT_FOUND for things found by id ("outside one's scope the answer is 404"),
 * LESS for lists that show each caller his part. `as` where an app may not. A route says no
 * scope of its own; `config.public` must be there on public operations. Then give the operation's path parameters
 * and body, where it needs any, in test/http/authorisation/calls.ts.
 * The verbs' rows are derived from the machine: nothing is to be written for them.
 */

const PUBLIC = { scope: null, capability: 'none', relation: 'public' } as const satisfies Right
const NOT_FOUND = { otherwise: 'not-found' } as const
const LESS = { otherwise: 'less' } as const
/** Everybody of the tenant reads it, the whole of it. */
const menu = { scope: 'directory:read', capability: 'none', relation: 'tenant' } as const satisfies Right
const calendar = { ...menu, scope: null } as const satisfies Right
/** 三员: who does it all, or this part of it. */
const CONFIGURES = ['administer', 'configure'] as const
const SECURES = ['administer', 'secure'] as const
const DECIDES = [...SECURES, 'dispatch'] as const
/** Kept by those who administer its place. */
const kept = { scope: 'directory:write', capability: CONFIGURES, relation: 'subtree' } as const satisfies Right
/** 三员: the auditor, and nobody else. */
const auditor = { scope: 'directory:read', capability: 'audit', relation: 'root', as: 'in-person' } as const satisfies Right
/** Of the tenant as a whole. */
const registrar = { ...kept, relation: 'root', as: 'in-person' } as const satisfies Right
const account = { ...kept, capability: SECURES, as: 'in-person', ...NOT_FOUND, seenBy: [...OVERSEES, 'own'] } as const satisfies Right
/** Whoever sees a request whole; of a confidential one `dispatch` sees instead of `view`. */
const PARTIES = ['filer', 'beneficiary', 'guardian', 'first_contact', 'assignee', 'co', 'handler'] as const
const whole = { scope: 'requests:read', capability: 'view', relation: [...PARTIES, 'subtree'], ...NOT_FOUND } as const satisfies Right
/** Who sees it, if only what the wall shows. */
const GLIMPSE = ['claimer', 'pending', 'attendee'] as const
const endpoint = { scope: 'webhooks:manage', capability: CONFIGURES, relation: ['own', 'subtree'], ...NOT_FOUND } as const satisfies Right
const robot = { scope: 'webhooks:manage', capability: CONFIGURES, relation: 'subtree', as: 'person', ...NOT_FOUND } as const satisfies Right
const duty = { ...kept, capability: SECURES, ...NOT_FOUND, seenBy: [...OVERSEES, 'own'] } as const satisfies Right
const enrolment = { scope: 'directory:write', capability: DECIDES, relation: 'subtree', ...NOT_FOUND, seenBy: ['own'] } as const satisfies Right
/** Figures of a place, of whoever watches over it. */
const watched = { scope: 'requests:read', capability: ['view', 'supervise'], relation: 'subtree', ...NOT_FOUND } as const satisfies Right
/** Whole lists, of the places one sees whole. */
const exported = { scope: 'requests:read', capability: 'view', relation: 'subtree', as: 'person', factor: true } as const satisfies Right
const directory = { ...exported, scope: 'directory:read' } as const satisfies Right
const feed = { scope: 'events:read', capability: 'view', relation: ['subtree', 'app'] } as const satisfies Right

const ROWS = {
  // login and what everybody may see
  getHealth: PUBLIC, getReadiness: PUBLIC, createToken: PUBLIC, getJwks: PUBLIC, listEventTypes: PUBLIC, openAttachment: PUBLIC,
  getWall: { scope: 'requests:read', capability: 'none', relation: ['public', 'claimer'] },
  // Open311: an API key of the app, in the parameter `api_key`; the door itself asks for it
  getOpen311Discovery: PUBLIC, listOpen311Services: PUBLIC, getOpen311Service: PUBLIC, listOpen311Requests: { ...PUBLIC, key: 'optional' }, getOpen311Request: { ...PUBLIC, key: 'optional' },
  getOpen311Token: { ...PUBLIC, key: 'optional' }, listOpen311Updates: { ...PUBLIC, key: 'optional' }, fileOpen311Request: { ...PUBLIC, key: 'required' }, postOpen311Update: { ...PUBLIC, key: 'required' },
  // oneself
  getMe: { scope: null, capability: 'none', relation: 'own' },
  changePassword: { scope: null, capability: 'none', relation: 'own', as: 'in-person' },
  enrolTotp: { scope: null, capability: 'none', relation: 'own', as: 'in-person' }, confirmTotp: { scope: null, capability: 'none', relation: 'own', as: 'in-person' },
  removeTotp: { scope: null, capability: 'none', relation: 'own', as: 'in-person' },
  listMyNotifications: { scope: 'requests:read', capability: 'none', relation: 'own', ...LESS },
  readMyNotification: { scope: 'requests:read', capability: 'none', relation: 'own', as: 'person', ...NOT_FOUND, seenBy: ['app'] },
  readMyNotifications: { scope: 'requests:read', capability: 'none', relation: 'own', as: 'person', ...NOT_FOUND, seenBy: ['app'] },
  listMyAssignments: { scope: 'requests:read', capability: 'none', relation: 'own', ...LESS },
  listMyQueues: { scope: 'requests:read', capability: 'none', relation: 'own', ...LESS }, listMyQueue: { scope: 'requests:read', capability: 'none', relation: 'own', ...LESS },
  getMyDigest: { scope: 'requests:read', capability: 'none', relation: 'own', ...LESS },
  // requests; every verb is derived below
  fileRequests: { scope: 'requests:write', capability: 'none', relation: 'tenant' },
  listDuplicates: { scope: 'requests:read', capability: 'dispatch', relation: 'subtree', ...NOT_FOUND, seenBy: ['view', ...PARTIES] },
  listDuplicatePairs: { scope: 'requests:read', capability: 'dispatch', relation: 'subtree' },
  listRequests: { scope: 'requests:read', capability: 'view', relation: ['own', 'assigned', 'subtree'], ...LESS },
  getRequest: { ...whole, relation: [...PARTIES, 'subtree', ...GLIMPSE] },
  listRequestEvents: whole, getRequestDetails: whole, getRequestDurations: whole, listRequestAttachments: whole,
  listCandidates: { scope: 'requests:read', capability: 'dispatch', relation: 'subtree', ...NOT_FOUND, seenBy: ['view', ...PARTIES, ...GLIMPSE] },
  uploadAttachment: { scope: 'requests:write', capability: 'none', relation: 'tenant' },
  // events and what is sent
  listEvents: feed, streamEvents: feed,
  createWebhookEndpoint: { ...endpoint, otherwise: 'forbidden' }, listWebhookEndpoints: { ...endpoint, otherwise: 'forbidden' },
  getWebhookEndpoint: endpoint, updateWebhookEndpoint: endpoint, pauseWebhookEndpoint: endpoint, resumeWebhookEndpoint: endpoint, disableWebhookEndpoint: endpoint,
  rotateWebhookSecret: endpoint, testWebhookEndpoint: endpoint, listWebhookDeliveries: endpoint, getWebhookDelivery: endpoint, redeliverWebhook: endpoint, replayWebhooks: endpoint,
  createRobot: { ...robot, otherwise: 'forbidden' }, listRobots: { ...robot, otherwise: 'forbidden' },
  getRobot: robot, updateRobot: robot, deleteRobot: robot, testRobot: robot, listRobotMessages: robot,
  getQuietHours: menu, putQuietHours: kept, deleteQuietHours: kept,
  // places, organisations, menu, rules, calendar
  listNodes: menu, getNode: menu, createNode: kept, putNodePoint: kept,
  // without a token what is for the public; a person sees what is for residents too
  getNodeContacts: { ...menu, relation: ['public', 'tenant'] }, findContacts: { ...menu, relation: ['public', 'tenant'] }, getNodeContactsPage: { ...menu, relation: ['public', 'tenant'] },
  getMyContactCards: { scope: null, capability: 'none', relation: 'own', as: 'person' }, putMyContactCard: { scope: null, capability: 'none', relation: 'own', as: 'in-person' },
  getContactSettings: menu, putContactSettings: registrar,
  listVenues: menu, getVenue: menu, createVenue: kept, updateVenue: kept, getVenueWall: { scope: 'requests:read', capability: 'none', relation: ['public', 'claimer'] },
  listCampaigns: menu, getCampaign: menu, createCampaign: kept, updateCampaign: kept,
  signUpForCampaign: { scope: 'requests:write', capability: 'none', relation: 'own', as: 'person' }, withdrawFromCampaign: { scope: 'requests:write', capability: 'none', relation: 'own', as: 'person' },
  listCampaignSignUps: { scope: 'directory:read', capability: OVERSEES, relation: 'subtree' },
  listOrganisations: menu, createOrganisation: kept,
  listItems: menu, getItem: menu, createItem: { ...kept, relation: 'root' },
  listPolicies: menu, listPolicyVersions: menu, previewPolicy: menu, putPolicy: kept,
  listCalendarDays: calendar, getDue: calendar, listCalendarYears: calendar, getCalendarHours: calendar, getCalendarTemplate: calendar,
  putCalendarHours: kept, putCalendarDay: kept, importCalendar: kept,
  getOperation: { ...kept, scope: null, relation: ['own', 'subtree'], ...NOT_FOUND },
  listOperationRequests: { ...kept, scope: 'requests:read', ...NOT_FOUND },
  // people and what they hold
  createPerson: { scope: 'directory:write', capability: ['file_for', ...SECURES], relation: 'subtree' },
  listPeople: { scope: 'directory:read', capability: OVERSEES, relation: ['own', 'subtree'], ...LESS },
  getPerson: { scope: 'directory:read', capability: OVERSEES, relation: ['own', 'subtree'], ...NOT_FOUND },
  updatePerson: { scope: 'directory:write', capability: ['file_for', ...SECURES], relation: ['own', 'subtree'], ...NOT_FOUND, seenBy: OVERSEES },
  suspendPerson: account, resumePerson: account, resetPassword: account, unlockPerson: account, resetTotp: account,
  listRoles: menu, putRole: { ...kept, capability: SECURES, relation: 'root' },
  listDuties: { scope: 'directory:read', capability: OVERSEES, relation: ['own', 'subtree'], ...LESS },
  getDuty: { scope: 'directory:read', capability: OVERSEES, relation: ['own', 'subtree'], ...NOT_FOUND },
  createDuty: { ...kept, capability: SECURES }, endDuty: duty, setStandIn: duty, endStandIn: duty,
  createEnrolment: { scope: 'directory:write', capability: 'none', relation: 'own', as: 'person' },
  listEnrolments: { ...enrolment, scope: 'directory:read', relation: ['own', 'subtree'], ...LESS },
  getEnrolment: { ...enrolment, scope: 'directory:read', relation: ['own', 'subtree'] },
  verifyEnrolment: enrolment, rejectEnrolment: enrolment, endEnrolment: { ...enrolment, relation: ['own', 'subtree'] },
  listSkills: menu, createSkill: { ...kept, relation: 'root' },
  listSkillHolders: { scope: 'directory:read', capability: OVERSEES, relation: ['own', 'subtree'], ...LESS },
  declareSkill: { scope: 'directory:write', capability: DECIDES, relation: ['own', 'assigned', 'subtree'] },
  endSkill: { scope: 'directory:write', capability: DECIDES, relation: ['own', 'assigned', 'subtree'], ...NOT_FOUND },
  // personal data
  // the caller too, while it waits for him (domain/reveal.ts)
  revealRequest: { scope: 'requests:write', capability: 'dispatch', relation: ['assignee', 'subtree'], as: 'person', factor: true, ...NOT_FOUND, seenBy: ['view', ...PARTIES, ...GLIMPSE] },
  revealPerson: { scope: 'directory:write', capability: ['file_for', ...SECURES], relation: 'subtree', as: 'person', factor: true, ...NOT_FOUND, seenBy: [...OVERSEES, 'own'] },
  revealEnrolment: { ...enrolment, as: 'person', factor: true },
  exportPerson: { ...account, factor: true }, erasePerson: account,
  exportMe: { scope: null, capability: 'none', relation: 'own', as: 'person' }, eraseMe: { scope: null, capability: 'none', relation: 'own', as: 'person' },
  // 考核和积分
  getRateDefinitions: { scope: 'requests:read', capability: 'none', relation: 'tenant' },
  getRates: watched, listRateRequests: watched, getRateTrend: watched, getHotspots: watched, getRecurring: watched, getCreditRanking: watched,
  // of an organisation: its own people and members, and whoever watches over its place
  getCredit: { scope: 'directory:read', capability: OVERSEES, relation: ['own', 'assigned', 'subtree'], ...NOT_FOUND },
  getMyCredit: { scope: 'requests:read', capability: 'none', relation: 'own', as: 'person' },
  // 住户和走访
  createHouseholds: { scope: 'directory:write', capability: ['file_for', ...SECURES], relation: 'subtree' },
  listHouseholds: { scope: 'directory:read', capability: OVERSEES, relation: ['own', 'subtree'], ...LESS },
  getHousehold: { scope: 'directory:read', capability: OVERSEES, relation: ['own', 'subtree'], ...NOT_FOUND },
  linkHouseholds: { scope: 'directory:write', capability: DECIDES, relation: 'subtree', ...NOT_FOUND, seenBy: OVERSEES },
  unlinkHouseholds: { scope: 'directory:write', capability: DECIDES, relation: 'subtree', ...NOT_FOUND, seenBy: OVERSEES },
  // each visit is answered for itself
  fileVisits: { scope: 'requests:write', capability: 'none', relation: 'tenant', as: 'person' },
  listVisits: { scope: 'requests:read', capability: OVERSEES, relation: ['own', 'subtree'], ...LESS }, getVisitCoverage: watched,
  // 导入: each row as its own operation would decide
  getImportTemplate: menu,
  createImport: { scope: 'directory:write', capability: ['file_for', 'administer', 'configure', 'secure'], relation: 'subtree', as: 'person' },
  getImport: { scope: null, capability: 'none', relation: 'own', ...NOT_FOUND },
  // 导出
  exportRequests: exported, exportLedger: exported, exportVisits: exported, exportPeople: { ...exported, scope: 'directory:read' }, exportHouseholds: { ...exported, scope: 'directory:read' },
  exportNodes: directory, exportOrganisations: directory, exportDuties: directory, exportContacts: directory, exportSkills: directory, exportItems: directory, exportVenues: directory, exportCampaigns: directory,
  exportEnrolments: { ...directory, capability: DECIDES }, exportCredit: exported,
  // 审计
  listAudit: auditor, listAuditCheckpoints: auditor,
  // what is asked of staff, and whose word about them is believed
  getSecuritySettings: { ...registrar, scope: 'directory:read', capability: SECURES }, putSecuritySettings: { ...registrar, capability: SECURES },
  createIdentityProvider: { ...registrar, capability: SECURES }, updateIdentityProvider: { ...registrar, capability: SECURES },
  listIdentityProviders: { ...registrar, scope: 'directory:read', capability: SECURES }, getIdentityProvider: { ...registrar, scope: 'directory:read', capability: SECURES },
  // apps
  createClient: registrar, listClients: { ...registrar, scope: 'directory:read' }, getClient: { ...registrar, scope: 'directory:read' }, updateClient: registrar,
  rotateClientSecret: registrar, revokeClient: registrar, createApiKey: registrar, listApiKeys: { ...registrar, scope: 'directory:read' }, revokeApiKey: registrar,
} as const satisfies Record<string, Right>

/** A verb's row says what the machine says: capabilities reach a subtree, parties what they are a party to. */
function rightOf(verb: VerbName): Right {
  const by: readonly Relation[] = [...new Set(verbOf(verb).edges.flatMap((edge): readonly Relation[] => edge.by))]
  if (verb === 'file') return { scope: 'requests:write', capability: 'none', relation: 'tenant' }
  const capability = by.filter(isCapability)
  const parties = by.filter((relation): relation is Extract<Relation, Reach> => !isCapability(relation) && relation !== 'system')
  return {
    scope: 'requests:write', capability: capability.length > 0 ? capability : 'none', relation: [...parties, ...(capability.length > 0 ? ['subtree' as const] : [])],
    ...NOT_FOUND, seenBy: ['view', ...PARTIES, ...GLIMPSE],
  }
}

export const RIGHTS: Readonly<Record<string, Right>> = {
  ...ROWS,
  // Anybody sends a list; what he may do with each is the verb's own row.
  ...Object.fromEntries(TRANSITIONS.map((verb) => [`bulk${pascal(verb)}`, rightOf('file')])),
  ...Object.fromEntries((['file', ...TRANSITIONS] as const).map((verb) => [operationOf(verb), rightOf(verb)])),
}
