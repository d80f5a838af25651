-- 审计: who did what to what, when and in which capacity; and the chain over it and over the feed. Non-breaking: new tables.

-- Ids and codes only: an entry outlives the personal data of everybody in it.
CREATE TABLE "audit_entry" (
    "tenantId" UUID NOT NULL,
    "id" UUID NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,
    "action" TEXT NOT NULL,
    "actorKind" TEXT NOT NULL,
    "actorId" UUID,
    "clientId" UUID,
    "dutyId" UUID,
    "objectKind" TEXT NOT NULL,
    "objectId" UUID,
    "details" JSONB NOT NULL,
    "call" TEXT,

    CONSTRAINT "audit_entry_pkey" PRIMARY KEY ("tenantId","id"),
    CONSTRAINT "audit_entry_tenantId_fkey" FOREIGN KEY ("tenantId") REFERENCES "tenant",
    CONSTRAINT "audit_entry_tenantId_actorId_fkey" FOREIGN KEY ("tenantId", "actorId") REFERENCES "person",
    CONSTRAINT "audit_entry_tenantId_clientId_fkey" FOREIGN KEY ("tenantId", "clientId") REFERENCES "client",
    CONSTRAINT "audit_entry_tenantId_dutyId_fkey" FOREIGN KEY ("tenantId", "dutyId") REFERENCES "duty",
    CONSTRAINT "audit_entry_actorKind_check" CHECK ("actorKind" IN ('person', 'app', 'system') AND ("actorKind" = 'person') = ("actorId" IS NOT NULL))
);
-- The chain knows an entry by its id.
CREATE INDEX "audit_entry_id_idx" ON "audit_entry" ("id");
CREATE INDEX "audit_entry_tenantId_actorId_id_idx" ON "audit_entry" ("tenantId", "actorId", "id");
CREATE INDEX "audit_entry_tenantId_objectId_id_idx" ON "audit_entry" ("tenantId", "objectId", "id");

-- What was said why. Apart from the entry, whose hash stays good when this is overwritten.
CREATE TABLE "audit_reason" (
    "tenantId" UUID NOT NULL,
    "entryId" UUID NOT NULL,
    "body" TEXT NOT NULL,
    "erasedAt" TIMESTAMPTZ(3),

    CONSTRAINT "audit_reason_pkey" PRIMARY KEY ("tenantId","entryId"),
    CONSTRAINT "audit_reason_tenantId_entryId_fkey" FOREIGN KEY ("tenantId", "entryId") REFERENCES "audit_entry"
);

-- Entries that have committed and are not in the chain yet.
CREATE TABLE "audit_outbox" (
    "tenantId" UUID NOT NULL,
    "id" UUID NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "audit_outbox_pkey" PRIMARY KEY ("tenantId","id"),
    CONSTRAINT "audit_outbox_tenantId_id_fkey" FOREIGN KEY ("tenantId", "id") REFERENCES "audit_entry"
);
CREATE INDEX "audit_outbox_at_idx" ON "audit_outbox" ("at", "id");

-- One chain over all tenants, as the feed has one order: link `n` follows `n - 1`. An event's link says its position in the
-- feed, an entry's the position that it came behind. `history` is of the event's own row.
CREATE TABLE "audit_link" (
    "n" BIGINT NOT NULL,
    "position" BIGINT NOT NULL,
    "kind" TEXT NOT NULL,
    "id" UUID NOT NULL,
    "digest" BYTEA NOT NULL,
    "history" BYTEA,
    "hash" BYTEA NOT NULL,

    CONSTRAINT "audit_link_pkey" PRIMARY KEY ("n"),
    CONSTRAINT "audit_link_kind_check" CHECK ("kind" IN ('event', 'entry') AND ("kind" = 'event') = ("history" IS NOT NULL))
);

-- Where the chain ends, signed anew with every batch: a tail that is cut off leaves it behind.
CREATE TABLE "audit_head" (
    "one" BOOLEAN NOT NULL DEFAULT true,
    "n" BIGINT NOT NULL,
    "position" BIGINT NOT NULL,
    "hash" BYTEA NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,
    "previous" BIGINT NOT NULL,
    "previousAt" TIMESTAMPTZ(3) NOT NULL,
    "kid" TEXT,
    "signature" BYTEA,

    CONSTRAINT "audit_head_pkey" PRIMARY KEY ("one"),
    CONSTRAINT "audit_head_one_check" CHECK ("one"),
    CONSTRAINT "audit_head_signed_check" CHECK (("kid" IS NULL) = ("signature" IS NULL))
);
-- The chain begins behind what is in the feed now.
INSERT INTO "audit_head" ("n", "position", "hash", "at", "previous", "previousAt")
SELECT 0, COALESCE(max("position"), 0), decode(repeat('00', 32), 'hex'), wishwall_now(), 0, wishwall_now() FROM "feed";

-- Signed states of the chain to be kept elsewhere as well. Each names the one before; an anchor is what is left of a
-- beginning that was removed after its time.
CREATE TABLE "audit_checkpoint" (
    "n" BIGINT NOT NULL,
    "position" BIGINT NOT NULL,
    "hash" BYTEA NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,
    "previous" BIGINT NOT NULL,
    "anchor" BOOLEAN NOT NULL DEFAULT false,
    "kid" TEXT NOT NULL,
    "signature" BYTEA NOT NULL,

    CONSTRAINT "audit_checkpoint_pkey" PRIMARY KEY ("n")
);

CALL wishwall_second_wall('audit_entry');
CALL wishwall_second_wall('audit_reason');
CALL wishwall_second_wall('audit_outbox');

-- Written once; only the owner of the tables removes what is past its time. Reasons are overwritten by who erases.
GRANT SELECT, INSERT ON "audit_entry", "audit_reason" TO wishwall_app, wishwall_system;
GRANT INSERT ON "audit_outbox" TO wishwall_app, wishwall_system;
GRANT SELECT, DELETE ON "audit_outbox" TO wishwall_system;
GRANT SELECT, INSERT ON "audit_link", "audit_checkpoint" TO wishwall_system;
GRANT SELECT ON "audit_head" TO wishwall_system;
GRANT UPDATE ("n", "position", "hash", "at", "previous", "previousAt", "kid", "signature") ON "audit_head" TO wishwall_system;
GRANT SELECT ON "audit_checkpoint", "audit_head" TO wishwall_app;
