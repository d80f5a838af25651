-- Reveals, erasures and their ledger, retention. Non-breaking: new tables and a role.

-- 显示: who was shown whose personal data, when and why. Of persons by id: a record says nothing of anybody by itself.
CREATE TABLE "reveal" (
    "tenantId" UUID NOT NULL,
    "id" UUID NOT NULL,
    "personId" UUID NOT NULL,
    "requestId" UUID,
    "actorId" UUID NOT NULL,
    "clientId" UUID,
    "reason" TEXT NOT NULL,
    "fields" TEXT[] NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "reveal_pkey" PRIMARY KEY ("tenantId","id")
);
ALTER TABLE "reveal"
  ADD CONSTRAINT "reveal_tenantId_personId_fkey" FOREIGN KEY ("tenantId", "personId") REFERENCES "person",
  ADD CONSTRAINT "reveal_tenantId_actorId_fkey" FOREIGN KEY ("tenantId", "actorId") REFERENCES "person",
  ADD CONSTRAINT "reveal_tenantId_requestId_fkey" FOREIGN KEY ("tenantId", "requestId") REFERENCES "request",
  ADD CONSTRAINT "reveal_fields_check" CHECK ("fields" <@ ARRAY['name', 'phone', 'door', 'externalUser', 'all'] AND cardinality("fields") > 0);
-- Counted by actor and day; told to the person they are of.
CREATE INDEX "reveal_tenantId_actorId_at_idx" ON "reveal" ("tenantId", "actorId", "at");
CREATE INDEX "reveal_tenantId_personId_idx" ON "reveal" ("tenantId", "personId");

-- 删除台账: append-only, ids only. What it names stays erased also after a restore.
CREATE TABLE "erasure" (
    "tenantId" UUID NOT NULL,
    "id" UUID NOT NULL,
    "personId" UUID NOT NULL,
    "reason" TEXT NOT NULL,
    "actorId" UUID,
    "at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "erasure_pkey" PRIMARY KEY ("tenantId","id")
);
ALTER TABLE "erasure"
  ADD CONSTRAINT "erasure_tenantId_personId_fkey" FOREIGN KEY ("tenantId", "personId") REFERENCES "person",
  ADD CONSTRAINT "erasure_tenantId_actorId_fkey" FOREIGN KEY ("tenantId", "actorId") REFERENCES "person",
  ADD CONSTRAINT "erasure_reason_check" CHECK ("reason" IN ('asked', 'consent_withdrawn', 'purpose_over', 'unlawful', 'retention'));
CREATE UNIQUE INDEX "erasure_tenantId_personId_key" ON "erasure" ("tenantId", "personId");

CALL wishwall_second_wall('reveal');
CALL wishwall_second_wall('erasure');

-- The one role that overwrites words and deletes what is a person's: entered for a single transaction, each of which is
-- audited. It is the app's role and a little more, so that the second wall holds for it as for the app.
DO $$
BEGIN
  -- Roles belong to the cluster: another database may have made them, at this very moment.
  BEGIN CREATE ROLE wishwall_eraser NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END;
  BEGIN GRANT wishwall_app TO wishwall_eraser; EXCEPTION WHEN unique_violation THEN NULL; END;
  BEGIN EXECUTE format('GRANT wishwall_eraser TO %I', current_user); EXCEPTION WHEN unique_violation THEN NULL; END;
END
$$;
GRANT USAGE ON SCHEMA public TO wishwall_eraser;
GRANT UPDATE ("body", "erasedAt") ON "text", "audit_reason" TO wishwall_eraser;
GRANT DELETE ON "external_user", "notification", "robot_message", "idempotency", "reveal" TO wishwall_eraser;
GRANT INSERT ON "erasure" TO wishwall_eraser;

GRANT SELECT, INSERT ON "reveal" TO wishwall_app;
GRANT SELECT ON "erasure" TO wishwall_app, wishwall_system;

-- What retention looks for: closed long ago. How far it has come is remembered, or it would look at everything each time.
CREATE INDEX "request_closed_idx" ON "request" ("tenantId", "closedAt", "id") WHERE "closedAt" IS NOT NULL;
CREATE INDEX "robot_message_ended_idx" ON "robot_message" ("tenantId", "endedAt") WHERE "endedAt" IS NOT NULL;

CREATE TABLE "retention_mark" (
    "tenantId" UUID NOT NULL,
    "what" TEXT NOT NULL,
    "doneAt" TIMESTAMPTZ(3) NOT NULL,
    "doneId" UUID NOT NULL,

    CONSTRAINT "retention_mark_pkey" PRIMARY KEY ("tenantId","what")
);
ALTER TABLE "retention_mark" ADD CONSTRAINT "retention_mark_tenantId_fkey" FOREIGN KEY ("tenantId") REFERENCES "tenant";
CALL wishwall_second_wall('retention_mark');
GRANT SELECT ON "retention_mark" TO wishwall_app;
GRANT INSERT, UPDATE ON "retention_mark" TO wishwall_eraser;
