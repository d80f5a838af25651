-- What Prisma cannot say. Non-breaking: first landing.

-- The database's clock, read through this one function. Tests move it by one setting:
-- ALTER DATABASE … SET wishwall.clock_offset = '3 days'.
CREATE FUNCTION wishwall_now() RETURNS timestamptz LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
  SELECT date_trunc('milliseconds', clock_timestamp() + COALESCE(NULLIF(current_setting('wishwall.clock_offset', true), ''), '0')::interval)
$$;

-- The tenant of this connection, set by the pool. None means no rows.
CREATE FUNCTION wishwall_tenant() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT NULLIF(current_setting('wishwall.tenant', true), '')::uuid
$$;

-- Undoes a whole commit from inside its one statement.
CREATE FUNCTION wishwall_undo(reason text) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'undone: %', reason USING ERRCODE = 'WW409';
END
$$;

-- Paths are compared by byte: any other collation turns a prefix search into a scan.
ALTER TABLE "node" ALTER "path" TYPE text COLLATE "C", ALTER "code" TYPE text COLLATE "C";
ALTER TABLE "request" ALTER "path" TYPE text COLLATE "C", ALTER "supervisorPath" TYPE text COLLATE "C";
ALTER TABLE "event" ALTER "path" TYPE text COLLATE "C";
ALTER TABLE "assignment" ALTER "path" TYPE text COLLATE "C";
ALTER TABLE "deadline" ALTER "rungPath" TYPE text COLLATE "C";
ALTER TABLE "wall_entry" ALTER "scopePath" TYPE text COLLATE "C";
ALTER TABLE "outbox" ALTER "path" TYPE text COLLATE "C";
ALTER TABLE "feed" ALTER "path" TYPE text COLLATE "C";

ALTER TABLE "node" ADD CONSTRAINT "node_path_check" CHECK ("path" LIKE '%/' AND "path" LIKE '%' || "code" || '/');
ALTER TABLE "organisation" ADD CONSTRAINT "organisation_tenantId_nodeId_fkey" FOREIGN KEY ("tenantId", "nodeId") REFERENCES "node";
ALTER TABLE "role" ADD CONSTRAINT "role_tenantId_fkey" FOREIGN KEY ("tenantId") REFERENCES "tenant";
ALTER TABLE "subject" ADD CONSTRAINT "subject_tenantId_fkey" FOREIGN KEY ("tenantId") REFERENCES "tenant";
ALTER TABLE "person" ADD CONSTRAINT "person_tenantId_subjectId_fkey" FOREIGN KEY ("tenantId", "subjectId") REFERENCES "subject";
ALTER TABLE "duty"
  ADD CONSTRAINT "duty_tenantId_personId_fkey" FOREIGN KEY ("tenantId", "personId") REFERENCES "person",
  ADD CONSTRAINT "duty_tenantId_standInId_fkey" FOREIGN KEY ("tenantId", "standInId") REFERENCES "person",
  ADD CONSTRAINT "duty_tenantId_roleCode_fkey" FOREIGN KEY ("tenantId", "roleCode") REFERENCES "role",
  ADD CONSTRAINT "duty_tenantId_nodeId_fkey" FOREIGN KEY ("tenantId", "nodeId") REFERENCES "node",
  ADD CONSTRAINT "duty_tenantId_organisationId_fkey" FOREIGN KEY ("tenantId", "organisationId") REFERENCES "organisation",
  ADD CONSTRAINT "duty_term_check" CHECK ("to" IS NULL OR "to" > "from");
ALTER TABLE "affiliation"
  ADD CONSTRAINT "affiliation_tenantId_personId_fkey" FOREIGN KEY ("tenantId", "personId") REFERENCES "person",
  ADD CONSTRAINT "affiliation_tenantId_organisationId_fkey" FOREIGN KEY ("tenantId", "organisationId") REFERENCES "organisation";
ALTER TABLE "client" ADD CONSTRAINT "client_tenantId_fkey" FOREIGN KEY ("tenantId") REFERENCES "tenant";
ALTER TABLE "policy" ADD CONSTRAINT "policy_tenantId_nodeId_fkey" FOREIGN KEY ("tenantId", "nodeId") REFERENCES "node";
ALTER TABLE "item" ADD CONSTRAINT "item_tenantId_fkey" FOREIGN KEY ("tenantId") REFERENCES "tenant",
  ADD CONSTRAINT "item_mode_check" CHECK ("mode" IN ('pool', 'dispatch'));

-- The aggregate. A jump, a gap and a forged edge are refused without a trigger: an event names its predecessor
-- and the state it left behind, and the request names its newest event and the state that left it in.
ALTER TABLE "event" ADD COLUMN "prevSeq" int GENERATED ALWAYS AS (NULLIF("seq" - 1, 0)) STORED;
ALTER TABLE "event"
  ADD CONSTRAINT "event_first_check" CHECK ("seq" >= 1 AND ("seq" = 1) = ("fromState" = 'none')),
  ADD CONSTRAINT "event_actorKind_check" CHECK ("actorKind" IN ('person', 'app', 'system') AND ("actorKind" = 'person') = ("actorId" IS NOT NULL)),
  ADD CONSTRAINT "event_previous_fkey" FOREIGN KEY ("tenantId", "requestId", "prevSeq", "fromState") REFERENCES "event" ("tenantId", "requestId", "seq", "toState"),
  ADD CONSTRAINT "event_tenantId_requestId_fkey" FOREIGN KEY ("tenantId", "requestId") REFERENCES "request";
ALTER TABLE "request"
  ADD CONSTRAINT "request_newest_event_fkey" FOREIGN KEY ("tenantId", "id", "version", "state") REFERENCES "event" ("tenantId", "requestId", "seq", "toState")
    DEFERRABLE INITIALLY IMMEDIATE,
  ADD CONSTRAINT "request_tenantId_nodeId_fkey" FOREIGN KEY ("tenantId", "nodeId") REFERENCES "node",
  ADD CONSTRAINT "request_tenantId_responsibleNodeId_fkey" FOREIGN KEY ("tenantId", "responsibleNodeId") REFERENCES "node",
  ADD CONSTRAINT "request_tenantId_itemId_fkey" FOREIGN KEY ("tenantId", "itemId") REFERENCES "item",
  ADD CONSTRAINT "request_tenantId_policyId_fkey" FOREIGN KEY ("tenantId", "policyId") REFERENCES "policy",
  ADD CONSTRAINT "request_tenantId_filerId_fkey" FOREIGN KEY ("tenantId", "filerId") REFERENCES "person",
  ADD CONSTRAINT "request_tenantId_beneficiaryId_fkey" FOREIGN KEY ("tenantId", "beneficiaryId") REFERENCES "person",
  ADD CONSTRAINT "request_tenantId_filerClientId_fkey" FOREIGN KEY ("tenantId", "filerClientId") REFERENCES "client",
  ADD CONSTRAINT "request_slots_check" CHECK ("slots" >= 1 AND "slotsTaken" BETWEEN 0 AND "slots");

-- Everything said at an event hangs on that event.
ALTER TABLE "text" ADD CONSTRAINT "text_event_fkey" FOREIGN KEY ("tenantId", "requestId", "seq") REFERENCES "event";
ALTER TABLE "wall_entry" ADD CONSTRAINT "wall_entry_event_fkey" FOREIGN KEY ("tenantId", "requestId", "seq") REFERENCES "event";
ALTER TABLE "assignment"
  ADD CONSTRAINT "assignment_event_fkey" FOREIGN KEY ("tenantId", "requestId", "seq") REFERENCES "event",
  ADD CONSTRAINT "assignment_tenantId_personId_fkey" FOREIGN KEY ("tenantId", "personId") REFERENCES "person",
  ADD CONSTRAINT "assignment_tenantId_organisationId_fkey" FOREIGN KEY ("tenantId", "organisationId") REFERENCES "organisation",
  ADD CONSTRAINT "assignment_party_check" CHECK ("personId" IS NOT NULL OR "organisationId" IS NOT NULL),
  ADD CONSTRAINT "assignment_via_check" CHECK ("via" IN ('claim', 'dispatch')),
  ADD CONSTRAINT "assignment_status_check" CHECK ("status" IN ('active', 'released', 'replaced', 'done') AND ("status" = 'active') = ("until" IS NULL));
ALTER TABLE "deadline"
  ADD CONSTRAINT "deadline_event_fkey" FOREIGN KEY ("tenantId", "requestId", "seq") REFERENCES "event",
  ADD CONSTRAINT "deadline_tenantId_policyId_fkey" FOREIGN KEY ("tenantId", "policyId") REFERENCES "policy",
  -- Exactly the running ones have a next time: the sweep can lose none.
  ADD CONSTRAINT "deadline_running_check" CHECK (("nextAt" IS NOT NULL) = ("closedAt" IS NULL AND "stoodAt" IS NULL));
ALTER TABLE "outbox" ADD CONSTRAINT "outbox_event_fkey" FOREIGN KEY ("tenantId", "requestId", "seq") REFERENCES "event";
ALTER TABLE "feed" ADD CONSTRAINT "feed_event_fkey" FOREIGN KEY ("tenantId", "requestId", "seq") REFERENCES "event";
ALTER TABLE "notification"
  ADD CONSTRAINT "notification_tenantId_personId_fkey" FOREIGN KEY ("tenantId", "personId") REFERENCES "person",
  ADD CONSTRAINT "notification_tenantId_position_fkey" FOREIGN KEY ("tenantId", "position") REFERENCES "feed";
ALTER TABLE "counter" ADD CONSTRAINT "counter_tenantId_fkey" FOREIGN KEY ("tenantId") REFERENCES "tenant", ADD CONSTRAINT "counter_value_check" CHECK ("value" >= 0);
ALTER TABLE "number_block" ADD CONSTRAINT "number_block_tenantId_fkey" FOREIGN KEY ("tenantId") REFERENCES "tenant";
ALTER TABLE "idempotency" ADD CONSTRAINT "idempotency_tenantId_requestId_fkey" FOREIGN KEY ("tenantId", "requestId") REFERENCES "request";

-- The last wall against a double claim; the door is the compare-and-set on the request.
CREATE UNIQUE INDEX "assignment_active_slot_key" ON "assignment" ("tenantId", "requestId", "slot") WHERE "status" = 'active';
CREATE INDEX "assignment_active_person_idx" ON "assignment" ("tenantId", "personId", "requestId") WHERE "status" = 'active' AND "personId" IS NOT NULL;
CREATE INDEX "assignment_active_organisation_idx" ON "assignment" ("tenantId", "organisationId", "requestId") WHERE "status" = 'active' AND "organisationId" IS NOT NULL;
CREATE INDEX "deadline_nextAt_idx" ON "deadline" ("nextAt") WHERE "nextAt" IS NOT NULL;
CREATE INDEX "wall_entry_up_idx" ON "wall_entry" ("tenantId", "requestId") WHERE "takenDownAt" IS NULL;
CREATE INDEX "person_login_idx" ON "person" ("login") WHERE "login" IS NOT NULL;
CREATE SEQUENCE "feed_position";

-- Roles: the login owns the tables; api and jobs act as wishwall_app, sweep and relay as wishwall_system.
DO $$
BEGIN
  -- Roles belong to the cluster: another database may have made them, at this very moment.
  BEGIN CREATE ROLE wishwall_app NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END;
  BEGIN CREATE ROLE wishwall_system NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END;
  BEGIN EXECUTE format('GRANT wishwall_app, wishwall_system TO %I', current_user); EXCEPTION WHEN unique_violation THEN NULL; END;
END
$$;
GRANT USAGE ON SCHEMA public TO wishwall_app, wishwall_system;

-- Second wall: rows of the connection's tenant only. Called by every migration that makes a table.
CREATE PROCEDURE wishwall_second_wall(name regclass, key text DEFAULT 'tenantId') LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', name);
  EXECUTE format('CREATE POLICY tenant ON %s TO wishwall_app USING (%I = (SELECT wishwall_tenant()))', name, key);
  EXECUTE format('CREATE POLICY system ON %s TO wishwall_system USING (true)', name);
END
$$;
DO $$
DECLARE name text;
BEGIN
  FOR name IN SELECT table_name FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'tenantId' LOOP
    CALL wishwall_second_wall(format('%I', name)::regclass);
  END LOOP;
END
$$;
CALL wishwall_second_wall('tenant', 'id');

-- History and feed are append-only for everyone but the owner.
GRANT SELECT, INSERT, UPDATE ON "node", "role", "organisation", "subject", "person", "duty", "affiliation", "client", "request",
  "assignment", "deadline", "wall_entry", "counter", "number_block", "notification" TO wishwall_app, wishwall_system;
GRANT SELECT, INSERT ON "event", "text", "policy", "item", "idempotency" TO wishwall_app, wishwall_system;
GRANT SELECT ON "tenant", "feed" TO wishwall_app, wishwall_system;
GRANT UPDATE ("retiredAt") ON "item" TO wishwall_app;
GRANT INSERT ON "outbox" TO wishwall_app, wishwall_system;
GRANT SELECT, DELETE ON "outbox" TO wishwall_system;
GRANT INSERT ON "feed" TO wishwall_system;
GRANT USAGE ON SEQUENCE "feed_position" TO wishwall_system;
GRANT DELETE ON "idempotency" TO wishwall_system;
GRANT INSERT, UPDATE ON "tenant" TO wishwall_system;
GRANT SELECT, INSERT, UPDATE, DELETE ON "cursor", "worker" TO wishwall_system;
GRANT SELECT ON "worker" TO wishwall_app;
-- /readyz asks whether all migrations have landed.
GRANT SELECT ON "_prisma_migrations" TO wishwall_system;

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
  'place:accepted:open',
  'take-down:open:accepted',
  'dispatch:accepted:dispatched',
  'dispatch:open:dispatched',
  'redispatch:dispatched:dispatched',
  'redispatch:in_progress:dispatched',
  'claim:open:open',
  'claim:open:in_progress',
  'release:in_progress:open',
  'release:open:open',
  'sign:dispatched:in_progress',
  'respond:in_progress:in_progress',
  'complete:in_progress:completed',
  'follow-up:completed:closed',
  'follow-up:completed:accepted',
  'follow-up:completed:completed',
  'rate:completed:closed',
  'rate:completed:accepted',
  'rate:closed:closed',
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
  'remind:filed:filed',
  'remind:accepted:accepted',
  'remind:open:open',
  'remind:dispatched:dispatched',
  'remind:in_progress:in_progress',
  'remind:completed:completed',
  'escalate:filed:filed',
  'escalate:accepted:accepted',
  'escalate:open:open',
  'escalate:dispatched:dispatched',
  'escalate:in_progress:in_progress',
  'escalate:completed:completed'));
ALTER TABLE "deadline" DROP CONSTRAINT IF EXISTS "deadline_step_check", ADD CONSTRAINT "deadline_step_check" CHECK ("step" IN ('accept', 'resubmit', 'place', 'claim', 'sign', 'respond', 'complete', 'follow_up', 'close'));
ALTER TABLE "affiliation" DROP CONSTRAINT IF EXISTS "affiliation_kind_check", ADD CONSTRAINT "affiliation_kind_check" CHECK ("kind" IN ('party_member', 'volunteer', 'individual', 'enterprise', 'dual_unit'));
