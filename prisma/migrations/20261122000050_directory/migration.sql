-- People, duties, enrolments, apps and talents. Non-breaking: new tables, and new columns that may be left out.

-- 人员: where someone lives or works, for filing on behalf and for who looks after the account.
ALTER TABLE "person"
  ADD COLUMN "nodeId" UUID,
  ADD COLUMN "passwordOnce" BOOLEAN NOT NULL DEFAULT false,
  ADD CONSTRAINT "person_tenantId_nodeId_fkey" FOREIGN KEY ("tenantId", "nodeId") REFERENCES "node";
CREATE INDEX "person_tenantId_nodeId_idx" ON "person"("tenantId", "nodeId");
CREATE INDEX "person_tenantId_subjectId_idx" ON "person"("tenantId", "subjectId");

-- 职责: the stand-in has a term of its own (请假, 节假日值班); seconded by a unit (S3: 下沉干部). One called off before it
-- began has an empty term: what was granted is never deleted.
ALTER TABLE "duty"
  ADD COLUMN "standInFrom" TIMESTAMPTZ(3),
  ADD COLUMN "standInTo" TIMESTAMPTZ(3),
  ADD COLUMN "secondedFromId" UUID,
  ADD COLUMN "grantedById" UUID,
  DROP CONSTRAINT "duty_term_check",
  ADD CONSTRAINT "duty_term_check" CHECK ("to" IS NULL OR "to" >= "from"),
  ADD CONSTRAINT "duty_standIn_check" CHECK ("standInId" <> "personId" AND ("standInId" IS NOT NULL OR ("standInFrom" IS NULL AND "standInTo" IS NULL)) AND "standInTo" > "standInFrom"),
  ADD CONSTRAINT "duty_tenantId_secondedFromId_fkey" FOREIGN KEY ("tenantId", "secondedFromId") REFERENCES "organisation",
  ADD CONSTRAINT "duty_tenantId_grantedById_fkey" FOREIGN KEY ("tenantId", "grantedById") REFERENCES "person";
CREATE INDEX "duty_tenantId_standInId_idx" ON "duty"("tenantId", "standInId");

-- 组织: GB 32100; pending while nobody has verified the enterprise that enrolled itself.
ALTER TABLE "organisation"
  ADD COLUMN "uscc" TEXT,
  ADD COLUMN "pending" BOOLEAN NOT NULL DEFAULT false,
  ADD CONSTRAINT "organisation_uscc_check" CHECK ("uscc" ~ '^[0-9A-HJ-NPQRTUWXY]{18}$');
CREATE UNIQUE INDEX "organisation_tenantId_uscc_key" ON "organisation"("tenantId", "uscc");

-- 报到: an application is decided once, by another than the applicant; a tie that has ended may be applied for again.
ALTER TABLE "affiliation"
  ADD COLUMN "tie" TEXT,
  ADD COLUMN "appliedAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  ADD COLUMN "decidedById" UUID,
  ADD COLUMN "rejectedAt" TIMESTAMPTZ(3),
  ADD COLUMN "reason" TEXT,
  ADD CONSTRAINT "affiliation_tie_check" CHECK ("tie" IN ('home', 'residence')),
  ADD CONSTRAINT "affiliation_decided_check" CHECK ("verifiedAt" IS NULL OR "rejectedAt" IS NULL),
  ADD CONSTRAINT "affiliation_own_check" CHECK ("decidedById" <> "personId"),
  ADD CONSTRAINT "affiliation_tenantId_decidedById_fkey" FOREIGN KEY ("tenantId", "decidedById") REFERENCES "person";
CREATE INDEX "affiliation_tenantId_organisationId_idx" ON "affiliation"("tenantId", "organisationId");
-- One at a time: of a kind in an organisation, and of a party member's home and residence branch.
CREATE UNIQUE INDEX "affiliation_live_key" ON "affiliation" ("tenantId", "personId", "organisationId", "kind") WHERE "endedAt" IS NULL AND "rejectedAt" IS NULL;
CREATE UNIQUE INDEX "affiliation_tie_key" ON "affiliation" ("tenantId", "personId", "kind", "tie") WHERE "endedAt" IS NULL AND "rejectedAt" IS NULL AND "tie" IS NOT NULL;

-- 应用: two secrets live while one takes over from the other.
ALTER TABLE "client"
  ADD COLUMN "formerSecretHash" BYTEA,
  ADD COLUMN "formerUntil" TIMESTAMPTZ(3),
  ADD COLUMN "rotatedAt" TIMESTAMPTZ(3),
  ADD CONSTRAINT "client_former_check" CHECK (("formerSecretHash" IS NULL) = ("formerUntil" IS NULL));

CREATE TABLE "api_key" (
    "tenantId" UUID NOT NULL,
    "id" UUID NOT NULL,
    "clientId" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "hash" BYTEA NOT NULL,
    "lastFour" TEXT NOT NULL,
    "scopes" TEXT[],
    "createdAt" TIMESTAMPTZ(3) NOT NULL,
    "expiresAt" TIMESTAMPTZ(3) NOT NULL,
    "lastUsedAt" TIMESTAMPTZ(3),
    "revokedAt" TIMESTAMPTZ(3),

    CONSTRAINT "api_key_pkey" PRIMARY KEY ("tenantId","id"),
    CONSTRAINT "api_key_tenantId_clientId_fkey" FOREIGN KEY ("tenantId", "clientId") REFERENCES "client",
    CONSTRAINT "api_key_hash_check" CHECK (length("hash") = 32)
);
CREATE INDEX "api_key_tenantId_clientId_idx" ON "api_key"("tenantId", "clientId");
-- A key does not say whose it is: it is looked up before the tenant is known.
CREATE INDEX "api_key_hash_idx" ON "api_key" USING hash ("hash");

-- A resident as an app knows him. Of that app only: no other may speak for him.
CREATE TABLE "external_user" (
    "tenantId" UUID NOT NULL,
    "id" UUID NOT NULL,
    "clientId" UUID NOT NULL,
    "provider" TEXT NOT NULL,
    "appId" TEXT NOT NULL,
    "openId" BYTEA,
    "personId" UUID NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "external_user_pkey" PRIMARY KEY ("tenantId","id"),
    CONSTRAINT "external_user_tenantId_clientId_fkey" FOREIGN KEY ("tenantId", "clientId") REFERENCES "client",
    CONSTRAINT "external_user_tenantId_personId_fkey" FOREIGN KEY ("tenantId", "personId") REFERENCES "person"
);
CREATE UNIQUE INDEX "external_user_identity_key" ON "external_user"("tenantId", "clientId", "provider", "appId", "openId");
CREATE INDEX "external_user_tenantId_personId_idx" ON "external_user"("tenantId", "personId");

-- 技能: S2 红色管家技能库, S3 楼栋能人.
CREATE TABLE "skill" (
    "tenantId" UUID NOT NULL,
    "code" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "skill_pkey" PRIMARY KEY ("tenantId","code"),
    CONSTRAINT "skill_tenantId_fkey" FOREIGN KEY ("tenantId") REFERENCES "tenant"
);
CREATE TABLE "skill_holder" (
    "tenantId" UUID NOT NULL,
    "id" UUID NOT NULL,
    "skillCode" TEXT NOT NULL,
    "personId" UUID,
    "organisationId" UUID,
    "level" INTEGER NOT NULL,
    "declaredAt" TIMESTAMPTZ(3) NOT NULL,
    "verifiedById" UUID,
    "verifiedAt" TIMESTAMPTZ(3),
    "endedAt" TIMESTAMPTZ(3),

    CONSTRAINT "skill_holder_pkey" PRIMARY KEY ("tenantId","id"),
    CONSTRAINT "skill_holder_tenantId_skillCode_fkey" FOREIGN KEY ("tenantId", "skillCode") REFERENCES "skill",
    CONSTRAINT "skill_holder_tenantId_personId_fkey" FOREIGN KEY ("tenantId", "personId") REFERENCES "person",
    CONSTRAINT "skill_holder_tenantId_organisationId_fkey" FOREIGN KEY ("tenantId", "organisationId") REFERENCES "organisation",
    CONSTRAINT "skill_holder_tenantId_verifiedById_fkey" FOREIGN KEY ("tenantId", "verifiedById") REFERENCES "person",
    CONSTRAINT "skill_holder_party_check" CHECK (("personId" IS NULL) <> ("organisationId" IS NULL)),
    CONSTRAINT "skill_holder_level_check" CHECK ("level" BETWEEN 1 AND 5),
    CONSTRAINT "skill_holder_own_check" CHECK ("verifiedById" <> "personId" AND ("verifiedById" IS NULL OR "verifiedAt" IS NOT NULL))
);
CREATE UNIQUE INDEX "skill_holder_person_key" ON "skill_holder" ("tenantId", "personId", "skillCode") WHERE "endedAt" IS NULL AND "personId" IS NOT NULL;
CREATE UNIQUE INDEX "skill_holder_organisation_key" ON "skill_holder" ("tenantId", "organisationId", "skillCode") WHERE "endedAt" IS NULL AND "organisationId" IS NOT NULL;
CREATE INDEX "skill_holder_tenantId_skillCode_idx" ON "skill_holder"("tenantId", "skillCode");

ALTER TABLE "item" ADD COLUMN "skills" TEXT[] NOT NULL DEFAULT '{}';

CALL wishwall_second_wall('api_key');
CALL wishwall_second_wall('external_user');
CALL wishwall_second_wall('skill');
CALL wishwall_second_wall('skill_holder');

GRANT SELECT, INSERT ON "api_key", "external_user", "skill", "skill_holder" TO wishwall_app;
GRANT UPDATE ("revokedAt") ON "api_key" TO wishwall_app;
-- Erasing a resident forgets by what an app knew him.
GRANT UPDATE ("openId") ON "external_user" TO wishwall_app;
GRANT UPDATE ("level", "declaredAt", "verifiedById", "verifiedAt", "endedAt") ON "skill_holder" TO wishwall_app;
-- A key is found, and its use noted, before the tenant is known; a new tenant starts with the shipped skills.
GRANT SELECT ON "api_key" TO wishwall_system;
GRANT UPDATE ("lastUsedAt") ON "api_key" TO wishwall_system;
GRANT INSERT ON "skill" TO wishwall_system;
