-- A registry of schema version 2, as the cardd of that version wrote it: see test_store_migrations.
BEGIN TRANSACTION;
CREATE TABLE badge (
	id TEXT NOT NULL, 
	uid BLOB NOT NULL, 
	aid INTEGER NOT NULL, 
	number TEXT NOT NULL, 
	scheme TEXT NOT NULL, 
	generation INTEGER NOT NULL, 
	state TEXT NOT NULL, 
	picc TEXT NOT NULL, 
	transport_generation INTEGER, 
	reason TEXT, 
	holder_id TEXT, 
	issued_at BIGINT, 
	expires_at BIGINT, 
	search TEXT NOT NULL, 
	version BIGINT NOT NULL, 
	mac_generation INTEGER NOT NULL, 
	mac BLOB NOT NULL, 
	CONSTRAINT pk_badge PRIMARY KEY (id), 
	CONSTRAINT uq_badge_uid UNIQUE (uid), 
	CONSTRAINT uq_badge_number UNIQUE (number), 
	CONSTRAINT fk_badge_holder_id FOREIGN KEY(holder_id) REFERENCES holder (id)
);
INSERT INTO "badge" VALUES('00000000000000000000000000000001',X'04000000000001',16108109,'00000001','ev2-aes',1,'active','ours',NULL,NULL,'00000000000000000000000000000001',NULL,NULL,'00000001
04000000000001',1,1,X'A3E8C976F38429BAAAF24E3CFF2E8155');
INSERT INTO "badge" VALUES('00000000000000000000000000000002',X'04000000000002',16108109,'00000002','ev2-aes',1,'revoked','ours',NULL,'lost','00000000000000000000000000000002',NULL,NULL,'00000002
04000000000002',2,1,X'2FF6DADC061755B14559217AD4EDC1E9');
CREATE TABLE holder (
	id TEXT NOT NULL, 
	staff_number TEXT NOT NULL, 
	given_name TEXT, 
	family_name TEXT, 
	accounts TEXT NOT NULL, 
	national_ids TEXT NOT NULL, 
	groups TEXT NOT NULL, 
	valid_from BIGINT, 
	valid_until BIGINT, 
	status TEXT NOT NULL, 
	search TEXT NOT NULL, 
	version BIGINT NOT NULL, 
	mac_generation INTEGER NOT NULL, 
	mac BLOB NOT NULL, 
	CONSTRAINT pk_holder PRIMARY KEY (id), 
	CONSTRAINT uq_holder_staff_number UNIQUE (staff_number)
);
INSERT INTO "holder" VALUES('00000000000000000000000000000001','S00001','Zoé','Martin','{}','["10001234567"]','["icu"]',NULL,NULL,'active','s00001
zoe martin zoe',1,1,X'606FFFEB703CD2F3F86C1F5E6959BC23');
INSERT INTO "holder" VALUES('00000000000000000000000000000002','S00002','Anne','Martin','{}','[]','[]',NULL,NULL,'active','s00002
anne martin anne',1,1,X'667BE37DBFCB5C9522DCC476062872CF');
CREATE TABLE holder_national_id (
	national_id TEXT NOT NULL, 
	holder_id TEXT NOT NULL, 
	CONSTRAINT pk_holder_national_id PRIMARY KEY (national_id, holder_id), 
	CONSTRAINT fk_holder_national_id_holder_id FOREIGN KEY(holder_id) REFERENCES holder (id)
);
INSERT INTO "holder_national_id" VALUES('810001234567','00000000000000000000000000000001');
CREATE TABLE journal (
	uid BLOB NOT NULL, 
	procedure TEXT NOT NULL, 
	badge_id TEXT NOT NULL, 
	step TEXT NOT NULL, 
	sealed BLOB NOT NULL, 
	client TEXT NOT NULL, 
	updated_at BIGINT NOT NULL, 
	version BIGINT NOT NULL, 
	mac_generation INTEGER NOT NULL, 
	mac BLOB NOT NULL, 
	CONSTRAINT pk_journal PRIMARY KEY (uid)
);
INSERT INTO "journal" VALUES(X'04000000000003','encode','00000000000000000000000000000003','begun',X'007365616C6564','c',1,2,1,X'E8FA4EBB944E995727BA280DAC15AF6C');
INSERT INTO "journal" VALUES(X'04000000000004','encode','00000000000000000000000000000004','begun',X'007365616C6564','c',1,2,1,X'CC00E2187C0DE56B47C833199211CD24');
CREATE TABLE presence (
	sid TEXT NOT NULL, 
	holder_id TEXT NOT NULL, 
	badge_id TEXT, 
	certificate TEXT, 
	device TEXT NOT NULL, 
	client TEXT NOT NULL, 
	auth_time BIGINT NOT NULL, 
	acr TEXT NOT NULL, 
	amr TEXT NOT NULL, 
	expires_at BIGINT NOT NULL, 
	ended_at BIGINT, 
	end_reason TEXT, 
	version BIGINT NOT NULL, 
	mac_generation INTEGER NOT NULL, 
	mac BLOB NOT NULL, 
	CONSTRAINT pk_presence PRIMARY KEY (sid), 
	CONSTRAINT fk_presence_holder_id FOREIGN KEY(holder_id) REFERENCES holder (id), 
	CONSTRAINT fk_presence_badge_id FOREIGN KEY(badge_id) REFERENCES badge (id)
);
INSERT INTO "presence" VALUES('sid-1','00000000000000000000000000000001','00000000000000000000000000000001',NULL,'ward-3','embedded',1795000000,'urn:cardd:acr:one-factor','["hwk"]',1795014400,NULL,NULL,1,1,X'EA484CE151427D003E534A07CDBC7BEF');
CREATE TABLE schema_version (
	version INTEGER NOT NULL, 
	site BLOB NOT NULL, 
	mac_generation INTEGER NOT NULL, 
	mac BLOB NOT NULL, 
	CONSTRAINT pk_schema_version PRIMARY KEY (version)
);
INSERT INTO "schema_version" VALUES(2,X'',1,X'C7A6832392CCC72BE5C5B4334C547037');
CREATE INDEX ix_holder_national_id_holder_id ON holder_national_id (holder_id);
CREATE INDEX ix_badge_holder_id ON badge (holder_id);
CREATE INDEX ix_presence_badge_id_ended_at ON presence (badge_id, ended_at);
COMMIT;
