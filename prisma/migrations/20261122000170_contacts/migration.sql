-- 连心卡 and 公示牌, venues, campaigns and who signs up for them. Non-breaking: new tables, a column that may be empty, one more source.

-- Which fields of a duty's holder may be shown, and to whom, as he himself has said; no fields: taken back. What the fields
-- hold is sealed in his subject.
CREATE TABLE "contact_card" (
    "tenantId" UUID NOT NULL,
    "dutyId" UUID NOT NULL,
    "personId" UUID NOT NULL,
    "fields" TEXT[] NOT NULL,
    "audience" TEXT NOT NULL,
    "changedAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "contact_card_pkey" PRIMARY KEY ("tenantId","dutyId","personId"),
    CONSTRAINT "contact_card_duty_fkey" FOREIGN KEY ("tenantId", "dutyId") REFERENCES "duty",
    CONSTRAINT "contact_card_person_fkey" FOREIGN KEY ("tenantId", "personId") REFERENCES "person",
    CONSTRAINT "contact_card_fields_check" CHECK ("fields" <@ ARRAY['name', 'phone']),
    CONSTRAINT "contact_card_audience_check" CHECK ("audience" IN ('residents', 'public'))
);
CREATE INDEX "contact_card_person_idx" ON "contact_card" ("tenantId", "personId");

-- 驿站: where people meet, with a wall on the wall.
CREATE TABLE "venue" (
    "tenantId" UUID NOT NULL,
    "id" UUID NOT NULL,
    "nodeId" UUID NOT NULL,
    "wallNodeId" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "address" TEXT,
    "hours" TEXT,
    "createdAt" TIMESTAMPTZ(3) NOT NULL,
    "closedAt" TIMESTAMPTZ(3),

    CONSTRAINT "venue_pkey" PRIMARY KEY ("tenantId","id"),
    CONSTRAINT "venue_node_fkey" FOREIGN KEY ("tenantId", "nodeId") REFERENCES "node",
    CONSTRAINT "venue_wallNode_fkey" FOREIGN KEY ("tenantId", "wallNodeId") REFERENCES "node"
);

-- 专项行动: filings of some weeks under one name. `signedUp` is counted in the statement that signs up.
CREATE TABLE "campaign" (
    "tenantId" UUID NOT NULL,
    "id" UUID NOT NULL,
    "nodeId" UUID NOT NULL,
    "code" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "items" TEXT[] NOT NULL,
    "from" TIMESTAMPTZ(3) NOT NULL,
    "to" TIMESTAMPTZ(3) NOT NULL,
    "targetFiled" INTEGER,
    "targetCompleted" INTEGER,
    "targetBeneficiaries" INTEGER,
    "capacity" INTEGER,
    "signedUp" INTEGER NOT NULL DEFAULT 0,
    "createdAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "campaign_pkey" PRIMARY KEY ("tenantId","id"),
    CONSTRAINT "campaign_tenantId_code_key" UNIQUE ("tenantId","code"),
    CONSTRAINT "campaign_node_fkey" FOREIGN KEY ("tenantId", "nodeId") REFERENCES "node",
    CONSTRAINT "campaign_term_check" CHECK ("from" < "to"),
    CONSTRAINT "campaign_signedUp_check" CHECK ("signedUp" >= 0 AND ("capacity" IS NULL OR "signedUp" <= "capacity"))
);

CREATE TABLE "campaign_sign_up" (
    "tenantId" UUID NOT NULL,
    "campaignId" UUID NOT NULL,
    "personId" UUID NOT NULL,
    "signedUpAt" TIMESTAMPTZ(3) NOT NULL,
    "withdrawnAt" TIMESTAMPTZ(3),

    CONSTRAINT "campaign_sign_up_pkey" PRIMARY KEY ("tenantId","campaignId","personId"),
    CONSTRAINT "campaign_sign_up_campaign_fkey" FOREIGN KEY ("tenantId", "campaignId") REFERENCES "campaign",
    CONSTRAINT "campaign_sign_up_person_fkey" FOREIGN KEY ("tenantId", "personId") REFERENCES "person"
);
CREATE INDEX "campaign_sign_up_person_idx" ON "campaign_sign_up" ("tenantId", "personId");

ALTER TABLE "request" ADD COLUMN "campaignId" UUID;
ALTER TABLE "request" ADD CONSTRAINT "request_tenantId_campaignId_fkey" FOREIGN KEY ("tenantId", "campaignId") REFERENCES "campaign" NOT VALID;
ALTER TABLE "request" VALIDATE CONSTRAINT "request_tenantId_campaignId_fkey";
CREATE INDEX "request_campaign_idx" ON "request" ("tenantId", "campaignId") WHERE "campaignId" IS NOT NULL;

-- GENERATED from src/domain/rows.ts by `npm run generate`: do not edit.
ALTER TABLE "request" DROP CONSTRAINT IF EXISTS "request_source_check", ADD CONSTRAINT "request_source_check" CHECK ("source" IN ('app', 'wall', 'mailbox', 'visit', 'phone', 'open311', 'import', 'staff', 'card'));

CALL wishwall_second_wall('contact_card');
CALL wishwall_second_wall('venue');
CALL wishwall_second_wall('campaign');
CALL wishwall_second_wall('campaign_sign_up');

GRANT SELECT, INSERT, UPDATE ON "contact_card", "venue", "campaign", "campaign_sign_up" TO wishwall_app;
GRANT SELECT ON "campaign" TO wishwall_system;
