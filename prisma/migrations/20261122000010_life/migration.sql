-- The whole life of a request. Expands: what is written by the version before is still accepted.

ALTER TABLE "item" ADD COLUMN "grade" TEXT, ADD COLUMN "gradePolicies" JSONB NOT NULL DEFAULT '{}', ADD COLUMN "proof" BOOLEAN NOT NULL DEFAULT false;

ALTER TABLE "request"
  ADD COLUMN "guardianId" UUID, ADD COLUMN "firstContactId" UUID, ADD COLUMN "respondentId" UUID, ADD COLUMN "respondentOrganisationId" UUID,
  ADD COLUMN "leadId" UUID, ADD COLUMN "grade" TEXT,
  ADD COLUMN "wave" INTEGER NOT NULL DEFAULT 0, ADD COLUMN "locked" BOOLEAN NOT NULL DEFAULT false, ADD COLUMN "excluded" BOOLEAN NOT NULL DEFAULT false,
  ADD COLUMN "confirmed" BOOLEAN, ADD COLUMN "onTheSpot" BOOLEAN NOT NULL DEFAULT false,
  ADD COLUMN "urges" INTEGER NOT NULL DEFAULT 0, ADD COLUMN "urgedAt" TIMESTAMPTZ(3),
  ADD COLUMN "trips" INTEGER NOT NULL DEFAULT 0, ADD COLUMN "papersOut" INTEGER NOT NULL DEFAULT 0, ADD COLUMN "sessions" INTEGER NOT NULL DEFAULT 0,
  ADD COLUMN "beneficiaries" INTEGER, ADD COLUMN "resolvedAtLevel" TEXT,
  ALTER COLUMN "slots" SET DEFAULT 1, ALTER COLUMN "slotsTaken" SET DEFAULT 0, ALTER COLUMN "unreached" SET DEFAULT 0;
ALTER TABLE "request"
  ADD CONSTRAINT "request_tenantId_guardianId_fkey" FOREIGN KEY ("tenantId", "guardianId") REFERENCES "person",
  ADD CONSTRAINT "request_tenantId_firstContactId_fkey" FOREIGN KEY ("tenantId", "firstContactId") REFERENCES "person",
  ADD CONSTRAINT "request_tenantId_respondentId_fkey" FOREIGN KEY ("tenantId", "respondentId") REFERENCES "person",
  ADD CONSTRAINT "request_tenantId_respondentOrganisationId_fkey" FOREIGN KEY ("tenantId", "respondentOrganisationId") REFERENCES "organisation",
  ADD CONSTRAINT "request_tenantId_leadId_fkey" FOREIGN KEY ("tenantId", "leadId") REFERENCES "request",
  -- Whoever is merged follows someone, and nobody follows himself.
  ADD CONSTRAINT "request_lead_check" CHECK (("state" <> 'merged' OR "leadId" IS NOT NULL) AND "leadId" IS DISTINCT FROM "id"),
  ADD CONSTRAINT "request_counts_check" CHECK ("papersOut" >= 0 AND "trips" >= 0 AND "sessions" >= 0 AND "urges" >= 0 AND "wave" >= 0);
CREATE INDEX "request_lead_idx" ON "request" ("tenantId", "leadId") WHERE "leadId" IS NOT NULL;

-- Several parties at one event (吹哨), in different roles.
ALTER TABLE "assignment"
  ADD COLUMN "role" TEXT NOT NULL DEFAULT 'lead', ADD COLUMN "quantity" INTEGER NOT NULL DEFAULT 1,
  ADD COLUMN "memberId" UUID, ADD COLUMN "level" TEXT, ADD COLUMN "reportedAt" TIMESTAMPTZ(3),
  DROP CONSTRAINT "assignment_pkey", ADD CONSTRAINT "assignment_pkey" PRIMARY KEY ("tenantId", "requestId", "seq", "slot"),
  DROP CONSTRAINT "assignment_via_check", DROP CONSTRAINT "assignment_status_check",
  ADD CONSTRAINT "assignment_via_check" CHECK ("via" IN ('claim', 'dispatch', 'co', 'whistle', 'sign_up')),
  ADD CONSTRAINT "assignment_role_check" CHECK ("role" IN ('lead', 'co', 'attendee')),
  ADD CONSTRAINT "assignment_quantity_check" CHECK ("quantity" >= 1),
  ADD CONSTRAINT "assignment_status_check" CHECK ("status" IN ('active', 'pending', 'released', 'replaced', 'returned', 'declined', 'done')
    AND ("status" IN ('active', 'pending')) = ("until" IS NULL)),
  ADD CONSTRAINT "assignment_tenantId_memberId_fkey" FOREIGN KEY ("tenantId", "memberId") REFERENCES "person";
-- The last wall against a double claim, also of one that waits for confirmation.
DROP INDEX "assignment_active_slot_key";
CREATE UNIQUE INDEX "assignment_active_slot_key" ON "assignment" ("tenantId", "requestId", "slot") WHERE "status" IN ('active', 'pending') AND "role" = 'lead';
CREATE INDEX "assignment_active_member_idx" ON "assignment" ("tenantId", "memberId", "requestId") WHERE "status" = 'active' AND "memberId" IS NOT NULL;

-- A wish without wall consent is for verified claimers only. What was placed before was placed for everyone.
ALTER TABLE "wall_entry" ADD COLUMN "isPublic" BOOLEAN NOT NULL DEFAULT true;

CREATE TABLE "ask" (
  "tenantId" UUID NOT NULL,
  "requestId" UUID NOT NULL,
  "seq" INTEGER NOT NULL,
  "kind" TEXT NOT NULL,
  "cycle" INTEGER NOT NULL,
  "reason" TEXT,
  "personId" UUID,
  "organisationId" UUID,
  "path" TEXT COLLATE "C" NOT NULL,
  "until" TIMESTAMPTZ(3),
  "suggestedPersonId" UUID,
  "suggestedOrganisationId" UUID,
  "status" TEXT NOT NULL,
  "askedAt" TIMESTAMPTZ(3) NOT NULL,
  "answeredAt" TIMESTAMPTZ(3),
  "answeredBy" UUID,
  CONSTRAINT "ask_pkey" PRIMARY KEY ("tenantId", "requestId", "seq"),
  CONSTRAINT "ask_event_fkey" FOREIGN KEY ("tenantId", "requestId", "seq") REFERENCES "event",
  CONSTRAINT "ask_tenantId_personId_fkey" FOREIGN KEY ("tenantId", "personId") REFERENCES "person",
  CONSTRAINT "ask_tenantId_organisationId_fkey" FOREIGN KEY ("tenantId", "organisationId") REFERENCES "organisation",
  CONSTRAINT "ask_tenantId_suggestedPersonId_fkey" FOREIGN KEY ("tenantId", "suggestedPersonId") REFERENCES "person",
  CONSTRAINT "ask_tenantId_suggestedOrganisationId_fkey" FOREIGN KEY ("tenantId", "suggestedOrganisationId") REFERENCES "organisation",
  CONSTRAINT "ask_tenantId_answeredBy_fkey" FOREIGN KEY ("tenantId", "answeredBy") REFERENCES "person",
  CONSTRAINT "ask_status_check" CHECK ("status" IN ('open', 'granted', 'denied', 'lapsed') AND ("status" = 'open') = ("answeredAt" IS NULL)),
  -- Nobody answers his own ask.
  CONSTRAINT "ask_own_check" CHECK ("answeredBy" IS NULL OR "answeredBy" IS DISTINCT FROM "personId")
);
-- At most one open ask per kind and request.
CREATE UNIQUE INDEX "ask_open_key" ON "ask" ("tenantId", "requestId", "kind") WHERE "status" = 'open';
CREATE INDEX "ask_tenantId_personId_idx" ON "ask" ("tenantId", "personId");
CREATE INDEX "ask_tenantId_organisationId_idx" ON "ask" ("tenantId", "organisationId");

CREATE TABLE "consent" (
  "tenantId" UUID NOT NULL,
  "requestId" UUID NOT NULL,
  "seq" INTEGER NOT NULL,
  "purpose" TEXT NOT NULL,
  "by" TEXT NOT NULL,
  "how" TEXT NOT NULL,
  "granted" BOOLEAN NOT NULL,
  "at" TIMESTAMPTZ(3) NOT NULL,
  CONSTRAINT "consent_pkey" PRIMARY KEY ("tenantId", "requestId", "purpose", "seq"),
  CONSTRAINT "consent_event_fkey" FOREIGN KEY ("tenantId", "requestId", "seq") REFERENCES "event",
  CONSTRAINT "consent_words_check" CHECK ("by" IN ('self', 'guardian') AND "how" IN ('app', 'paper', 'oral'))
);

CALL wishwall_second_wall('ask');
CALL wishwall_second_wall('consent');
GRANT SELECT, INSERT, UPDATE ON "ask" TO wishwall_app, wishwall_system;
GRANT SELECT, INSERT ON "consent" TO wishwall_app, wishwall_system;

-- Asks are answered one level up: by those who dispatch there, until a tenant says otherwise.
UPDATE "role" SET "capabilities" = array_append("capabilities", 'approve')
  WHERE "code" IN ('branch_secretary', 'dispatcher', 'duty_chief', 'grid_head') AND 'dispatch' = ANY ("capabilities") AND NOT 'approve' = ANY ("capabilities");

-- GENERATED from src/domain/machine.ts by `npm run generate`: do not edit.
ALTER TABLE "request" DROP CONSTRAINT IF EXISTS "request_state_check", ADD CONSTRAINT "request_state_check" CHECK ("state" IN ('filed', 'returned', 'rejected', 'accepted', 'open', 'dispatched', 'in_progress', 'parked', 'completed', 'closed', 'withdrawn', 'merged'));
ALTER TABLE "request" DROP CONSTRAINT IF EXISTS "request_final_check", ADD CONSTRAINT "request_final_check" CHECK (("state" IN ('rejected', 'closed', 'withdrawn')) = ("closedAt" IS NOT NULL));
ALTER TABLE "request" DROP CONSTRAINT IF EXISTS "request_kind_check", ADD CONSTRAINT "request_kind_check" CHECK ("kind" IN ('wish', 'service', 'errand', 'mediation', 'suggestion', 'activity'));
ALTER TABLE "request" DROP CONSTRAINT IF EXISTS "request_source_check", ADD CONSTRAINT "request_source_check" CHECK ("source" IN ('app', 'wall', 'mailbox', 'visit', 'phone', 'open311', 'import', 'staff'));
ALTER TABLE "request" DROP CONSTRAINT IF EXISTS "request_targetGroup_check", ADD CONSTRAINT "request_targetGroup_check" CHECK ("targetGroup" IN ('elderly', 'disabled_child', 'minor', 'disabled', 'special_hardship'));
ALTER TABLE "request" DROP CONSTRAINT IF EXISTS "request_result_check", ADD CONSTRAINT "request_result_check" CHECK ("result" IN ('realised', 'partly', 'explained', 'impossible'));
ALTER TABLE "request" DROP CONSTRAINT IF EXISTS "request_solved_check", ADD CONSTRAINT "request_solved_check" CHECK ("solved" IN ('solved', 'partly', 'unsolved'));
ALTER TABLE "request" DROP CONSTRAINT IF EXISTS "request_satisfaction_check", ADD CONSTRAINT "request_satisfaction_check" CHECK ("satisfaction" IN ('satisfied', 'fairly', 'dissatisfied'));
ALTER TABLE "event" DROP CONSTRAINT IF EXISTS "event_edge_check", ADD CONSTRAINT "event_edge_check" CHECK ("verb" || ':' || "fromState" || ':' || "toState" IN (
  'file:none:filed',
  'accept:filed:accepted',
  'reject:filed:rejected',
  'return:filed:returned',
  'resubmit:returned:filed',
  'amend:filed:filed',
  'amend:accepted:accepted',
  'consent:filed:filed',
  'consent:returned:returned',
  'consent:accepted:accepted',
  'consent:open:open',
  'consent:dispatched:dispatched',
  'consent:in_progress:in_progress',
  'consent:parked:parked',
  'consent:completed:completed',
  'consent:merged:merged',
  'consent:open:accepted',
  'place:accepted:open',
  'take-down:open:accepted',
  'widen:open:open',
  'claim:open:open',
  'claim:open:in_progress',
  'confirm-claim:open:open',
  'confirm-claim:open:in_progress',
  'decline-claim:open:open',
  'start:open:in_progress',
  'release:in_progress:open',
  'release:open:open',
  'dispatch:accepted:dispatched',
  'dispatch:open:dispatched',
  'redispatch:dispatched:dispatched',
  'redispatch:in_progress:dispatched',
  'assign:open:open',
  'assign:dispatched:dispatched',
  'assign:in_progress:in_progress',
  'sign:dispatched:in_progress',
  'ask-return:dispatched:dispatched',
  'ask-return:in_progress:in_progress',
  'grant-return:dispatched:accepted',
  'grant-return:in_progress:accepted',
  'deny-return:dispatched:dispatched',
  'deny-return:in_progress:in_progress',
  'adjudicate:dispatched:dispatched',
  'adjudicate:in_progress:in_progress',
  'adjudicate:in_progress:dispatched',
  'respond:in_progress:in_progress',
  'record:in_progress:in_progress',
  'sign-up:open:open',
  'sign-up:in_progress:in_progress',
  'cancel-sign-up:open:open',
  'cancel-sign-up:in_progress:in_progress',
  'add-co:dispatched:dispatched',
  'add-co:in_progress:in_progress',
  'co-done:dispatched:dispatched',
  'co-done:in_progress:in_progress',
  'remove-co:accepted:accepted',
  'remove-co:open:open',
  'remove-co:dispatched:dispatched',
  'remove-co:in_progress:in_progress',
  'whistle:accepted:accepted',
  'whistle:open:open',
  'whistle:dispatched:dispatched',
  'whistle:in_progress:in_progress',
  'report-in:accepted:accepted',
  'report-in:open:open',
  'report-in:dispatched:dispatched',
  'report-in:in_progress:in_progress',
  'deliberate:accepted:accepted',
  'deliberate:open:open',
  'deliberate:in_progress:in_progress',
  'deliberate:accepted:parked',
  'deliberate:open:parked',
  'deliberate:in_progress:parked',
  'ask-extension:dispatched:dispatched',
  'ask-extension:in_progress:in_progress',
  'grant-extension:dispatched:dispatched',
  'grant-extension:in_progress:in_progress',
  'deny-extension:dispatched:dispatched',
  'deny-extension:in_progress:in_progress',
  'ask-park:accepted:accepted',
  'ask-park:open:open',
  'ask-park:in_progress:in_progress',
  'grant-park:accepted:parked',
  'grant-park:open:parked',
  'grant-park:in_progress:parked',
  'deny-park:accepted:accepted',
  'deny-park:open:open',
  'deny-park:in_progress:in_progress',
  'unpark:parked:accepted',
  'ask-exclusion:in_progress:in_progress',
  'ask-exclusion:completed:completed',
  'ask-exclusion:closed:closed',
  'grant-exclusion:in_progress:in_progress',
  'grant-exclusion:completed:completed',
  'grant-exclusion:closed:closed',
  'deny-exclusion:in_progress:in_progress',
  'deny-exclusion:completed:completed',
  'deny-exclusion:closed:closed',
  'complete:in_progress:completed',
  'complete:accepted:completed',
  'confirm:completed:completed',
  'send-back:completed:in_progress',
  'follow-up:completed:closed',
  'follow-up:completed:accepted',
  'follow-up:completed:completed',
  'rate:completed:closed',
  'rate:completed:accepted',
  'rate:closed:closed',
  'reopen:completed:accepted',
  'reopen:closed:accepted',
  'reopen:rejected:accepted',
  'close:completed:closed',
  'withdraw:filed:withdrawn',
  'withdraw:returned:withdrawn',
  'withdraw:accepted:withdrawn',
  'withdraw:open:withdrawn',
  'withdraw:dispatched:withdrawn',
  'withdraw:in_progress:withdrawn',
  'withdraw:parked:withdrawn',
  'withdraw:completed:withdrawn',
  'withdraw:merged:withdrawn',
  'merge:filed:merged',
  'merge:accepted:merged',
  'merge:open:merged',
  'absorb:filed:filed',
  'absorb:accepted:accepted',
  'absorb:open:open',
  'absorb:dispatched:dispatched',
  'absorb:in_progress:in_progress',
  'absorb:parked:parked',
  'unmerge:merged:accepted',
  'rejoin:completed:merged',
  'follow-lead:merged:completed',
  'urge:filed:filed',
  'urge:accepted:accepted',
  'urge:open:open',
  'urge:dispatched:dispatched',
  'urge:in_progress:in_progress',
  'urge:parked:parked',
  'urge:merged:merged',
  'supervise:filed:filed',
  'supervise:returned:returned',
  'supervise:accepted:accepted',
  'supervise:open:open',
  'supervise:dispatched:dispatched',
  'supervise:in_progress:in_progress',
  'supervise:parked:parked',
  'supervise:completed:completed',
  'supervise:merged:merged',
  'raise:filed:filed',
  'raise:accepted:accepted',
  'raise:open:open',
  'raise:dispatched:dispatched',
  'raise:in_progress:in_progress',
  'raise:parked:parked',
  'hand-over:filed:filed',
  'hand-over:returned:returned',
  'hand-over:accepted:accepted',
  'hand-over:open:open',
  'hand-over:dispatched:dispatched',
  'hand-over:in_progress:in_progress',
  'hand-over:parked:parked',
  'hand-over:completed:completed',
  'hand-over:merged:merged',
  'remind:filed:filed',
  'remind:returned:returned',
  'remind:accepted:accepted',
  'remind:open:open',
  'remind:dispatched:dispatched',
  'remind:in_progress:in_progress',
  'remind:parked:parked',
  'remind:completed:completed',
  'remind:merged:merged',
  'remind:closed:closed',
  'escalate:filed:filed',
  'escalate:returned:returned',
  'escalate:accepted:accepted',
  'escalate:open:open',
  'escalate:dispatched:dispatched',
  'escalate:in_progress:in_progress',
  'escalate:parked:parked',
  'escalate:completed:completed',
  'escalate:merged:merged',
  'escalate:closed:closed',
  'reschedule:filed:filed',
  'reschedule:returned:returned',
  'reschedule:accepted:accepted',
  'reschedule:open:open',
  'reschedule:dispatched:dispatched',
  'reschedule:in_progress:in_progress',
  'reschedule:parked:parked',
  'reschedule:completed:completed',
  'reschedule:merged:merged',
  'reschedule:closed:closed'));
ALTER TABLE "request" DROP CONSTRAINT IF EXISTS "request_grade_check", ADD CONSTRAINT "request_grade_check" CHECK ("grade" IN ('major', 'minor', 'practical', 'urgent', 'difficult'));
ALTER TABLE "ask" DROP CONSTRAINT IF EXISTS "ask_kind_check", ADD CONSTRAINT "ask_kind_check" CHECK ("kind" IN ('return', 'extension', 'park', 'exclusion'));
ALTER TABLE "consent" DROP CONSTRAINT IF EXISTS "consent_purpose_check", ADD CONSTRAINT "consent_purpose_check" CHECK ("purpose" IN ('wall', 'contact_to_claimer', 'sensitive'));
ALTER TABLE "deadline" DROP CONSTRAINT IF EXISTS "deadline_step_check", ADD CONSTRAINT "deadline_step_check" CHECK ("step" IN ('accept', 'resubmit', 'place', 'claim', 'wave', 'sign', 'respond', 'lease', 'complete', 'co', 'report_in', 'answer', 'review', 'confirm', 'follow_up', 'close'));
ALTER TABLE "affiliation" DROP CONSTRAINT IF EXISTS "affiliation_kind_check", ADD CONSTRAINT "affiliation_kind_check" CHECK ("kind" IN ('party_member', 'volunteer', 'individual', 'enterprise', 'dual_unit'));
