BEGIN TRANSACTION;
CREATE TABLE alias_token (
	alias VARCHAR NOT NULL, 
	secret_hash VARCHAR NOT NULL, 
	login VARCHAR NOT NULL, 
	created DATETIME NOT NULL, 
	expires DATETIME NOT NULL, 
	PRIMARY KEY (alias), 
	FOREIGN KEY(login) REFERENCES user (login)
);
INSERT INTO "alias_token" VALUES('a1','s','reader','2026-05-01 09:30:00.123456','2026-05-01 09:30:00.123456');
CREATE TABLE command (
	id INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	version VARCHAR NOT NULL, 
	image VARCHAR NOT NULL, 
	document JSON NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (name, version)
);
INSERT INTO "command" VALUES(1,'tiny','1.0','tiny:1.0','{"name": "tiny", "xnat": [{"id": 1, "name": "tiny-session"}]}');
CREATE TABLE config_entry (
	pk INTEGER NOT NULL, 
	project VARCHAR NOT NULL, 
	tool VARCHAR NOT NULL, 
	path VARCHAR NOT NULL, 
	version INTEGER NOT NULL, 
	status VARCHAR NOT NULL, 
	contents VARCHAR NOT NULL, 
	user VARCHAR NOT NULL, 
	created DATETIME NOT NULL, 
	PRIMARY KEY (pk)
);
INSERT INTO "config_entry" VALUES(1,'BTS','overread','study',1,'enabled','{"id": "brain-tumor"}','admin','2026-05-01 09:30:00.123456');
CREATE TABLE container (
	id INTEGER NOT NULL, 
	command_id INTEGER NOT NULL, 
	wrapper_id INTEGER NOT NULL, 
	workflow_id INTEGER, 
	parent_id INTEGER, 
	project VARCHAR NOT NULL, 
	user VARCHAR NOT NULL, 
	origin VARCHAR NOT NULL, 
	once_key VARCHAR, 
	status VARCHAR NOT NULL, 
	status_time DATETIME NOT NULL, 
	reason VARCHAR NOT NULL, 
	resolved JSON NOT NULL, 
	inputs JSON NOT NULL, 
	outputs JSON NOT NULL, 
	history JSON NOT NULL, 
	progress JSON NOT NULL, 
	exit_code INTEGER, 
	backend_id VARCHAR NOT NULL, 
	created DATETIME NOT NULL, 
	started DATETIME, 
	ended DATETIME, 
	PRIMARY KEY (id), 
	UNIQUE (once_key), 
	FOREIGN KEY(workflow_id) REFERENCES workflow (id)
);
INSERT INTO "container" VALUES(1,1,1,1,NULL,'BTS','admin','subscription:1:delivery:1','k','Complete','2026-05-01 09:30:00.123456','','{"docker-image": "tiny:1.0"}','{"session": "/archive/experiments/XNAT_E00001"}','[{"name": "result"}]','[{"id": 1, "status": "Queued"}]','{}',0,'','2026-05-01 09:30:00.123456','2026-05-01 09:30:00.123456','2026-05-01 09:30:00.123456');
INSERT INTO "container" VALUES(2,1,1,NULL,NULL,'BTS','admin','',NULL,'Queued','2026-05-01 09:30:00.123456','','{}','{}','[]','[]','{}',NULL,'','2026-05-01 09:30:00.123456',NULL,NULL);
CREATE TABLE custom_fields (
	pk INTEGER NOT NULL, 
	owner_kind VARCHAR NOT NULL, 
	owner_id VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	value JSON NOT NULL, 
	user VARCHAR NOT NULL, 
	last_modified DATETIME NOT NULL, 
	PRIMARY KEY (pk), 
	UNIQUE (owner_kind, owner_id, name)
);
INSERT INTO "custom_fields" VALUES(1,'experiment','XNAT_E00001','reading','{"value": {"ok": true}}','reader','2026-05-01 09:30:00.123456');
CREATE TABLE custom_form (
	uuid VARCHAR NOT NULL, 
	title VARCHAR NOT NULL, 
	xsi_type VARCHAR NOT NULL, 
	projects JSON NOT NULL, 
	status VARCHAR NOT NULL, 
	display_order INTEGER NOT NULL, 
	contents JSON NOT NULL, 
	version INTEGER NOT NULL, 
	username VARCHAR NOT NULL, 
	created DATETIME NOT NULL, 
	PRIMARY KEY (uuid)
);
INSERT INTO "custom_form" VALUES('7d9f7f0c-0000-4000-8000-000000000001','Reading','xnat:mrSessionData','["BTS"]','enabled',10,'{"components": []}',1,'admin','2026-05-01 09:30:00.123456');
CREATE TABLE delivery (
	id INTEGER NOT NULL, 
	subscription_id INTEGER NOT NULL, 
	event_type VARCHAR NOT NULL, 
	event_status VARCHAR NOT NULL, 
	project VARCHAR NOT NULL, 
	user VARCHAR NOT NULL, 
	"trigger" JSON NOT NULL, 
	statuses JSON NOT NULL, 
	error BOOLEAN NOT NULL, 
	timestamp DATETIME NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "delivery" VALUES(1,1,'SessionEvent','CREATED','BTS','admin','{"label": "EXAM1"}','[{"status": "ACTION_COMPLETE"}]',0,'2026-05-01 09:30:00.123456');
CREATE TABLE enablement (
	pk INTEGER NOT NULL, 
	wrapper_id INTEGER NOT NULL, 
	project VARCHAR NOT NULL, 
	enabled BOOLEAN NOT NULL, 
	PRIMARY KEY (pk), 
	UNIQUE (wrapper_id, project)
);
INSERT INTO "enablement" VALUES(1,1,'BTS',1);
CREATE TABLE experiment (
	id VARCHAR NOT NULL, 
	project VARCHAR NOT NULL, 
	label VARCHAR NOT NULL, 
	xsi_type VARCHAR NOT NULL, 
	subject_id VARCHAR, 
	session_id VARCHAR, 
	date VARCHAR NOT NULL, 
	time VARCHAR NOT NULL, 
	uid VARCHAR NOT NULL, 
	modality VARCHAR NOT NULL, 
	accession_number VARCHAR NOT NULL, 
	patient_id VARCHAR NOT NULL, 
	patient_name VARCHAR NOT NULL, 
	status VARCHAR NOT NULL, 
	fields JSON NOT NULL, 
	children JSON NOT NULL, 
	insert_date DATETIME NOT NULL, 
	insert_user VARCHAR NOT NULL, 
	last_modified DATETIME NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (project, label), 
	FOREIGN KEY(project) REFERENCES project (id), 
	FOREIGN KEY(subject_id) REFERENCES subject (id), 
	FOREIGN KEY(session_id) REFERENCES experiment (id)
);
INSERT INTO "experiment" VALUES('XNAT_E00001','BTS','EXAM1','xnat:mrSessionData','XNAT_S00001',NULL,'2026-05-01','','1.2.3','MR','','','','active','{"scanner": "A"}','{"x": [{"a": 1}]}','2026-05-01 09:30:00.123456','admin','2026-05-01 09:30:00.123456');
INSERT INTO "experiment" VALUES('XNAT_E00002','BTS','RESULT1','icr:roiCollectionData',NULL,'XNAT_E00001','','','','','','','','active','{}','{}','2026-05-01 09:30:00.123456','admin','2026-05-01 09:30:00.123456');
CREATE TABLE instance (
	pk INTEGER NOT NULL, 
	session_id VARCHAR NOT NULL, 
	file_pk INTEGER NOT NULL, 
	study_instance_uid VARCHAR NOT NULL, 
	series_instance_uid VARCHAR NOT NULL, 
	sop_instance_uid VARCHAR NOT NULL, 
	sop_class_uid VARCHAR NOT NULL, 
	transfer_syntax_uid VARCHAR NOT NULL, 
	modality VARCHAR NOT NULL, 
	series_number INTEGER, 
	series_description VARCHAR NOT NULL, 
	instance_number INTEGER, 
	PRIMARY KEY (pk), 
	UNIQUE (session_id, sop_instance_uid, file_pk), 
	FOREIGN KEY(session_id) REFERENCES experiment (id), 
	FOREIGN KEY(file_pk) REFERENCES resource_file (pk)
);
INSERT INTO "instance" VALUES(1,'XNAT_E00001',1,'1.2.3','1.2.3.4','1.2.3.4.5','1.2.840.10008.5.1.4.1.1.4','1.2.840.10008.1.2.1','MR',3,'',1);
CREATE TABLE membership (
	pk INTEGER NOT NULL, 
	project VARCHAR NOT NULL, 
	login VARCHAR NOT NULL, 
	role VARCHAR NOT NULL, 
	PRIMARY KEY (pk), 
	UNIQUE (project, login), 
	FOREIGN KEY(project) REFERENCES project (id), 
	FOREIGN KEY(login) REFERENCES user (login)
);
INSERT INTO "membership" VALUES(1,'BTS','reader','member');
CREATE TABLE prearchive_session (
	pk INTEGER NOT NULL, 
	project VARCHAR NOT NULL, 
	timestamp VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	subject VARCHAR NOT NULL, 
	study_instance_uid VARCHAR NOT NULL, 
	status VARCHAR NOT NULL, 
	auto_archive BOOLEAN, 
	reason VARCHAR NOT NULL, 
	session_id VARCHAR, 
	uploaded DATETIME NOT NULL, 
	receiving_since DATETIME NOT NULL, 
	last_modified DATETIME NOT NULL, 
	PRIMARY KEY (pk)
);
INSERT INTO "prearchive_session" VALUES(1,'BTS','20260501_093000123','EXAM1','SUB1','1.2.3','ARCHIVED',NULL,'','XNAT_E00001','2026-05-01 09:30:00.123456','2026-05-01 09:30:00.123456','2026-05-01 09:30:00.123456');
INSERT INTO "prearchive_session" VALUES(2,'Unassigned','20260501_093000124','EXAM2','','1.2.9','READY',1,'no project took it: move it into one',NULL,'2026-05-01 09:30:00.123456','2026-05-01 09:30:00.123456','2026-05-01 09:30:00.123456');
CREATE TABLE project (
	id VARCHAR NOT NULL, 
	secondary_id VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	description VARCHAR NOT NULL, 
	aliases JSON NOT NULL, 
	accessibility VARCHAR NOT NULL, 
	prearchive_code INTEGER NOT NULL, 
	quarantine_code INTEGER NOT NULL, 
	deleted BOOLEAN NOT NULL, 
	fields JSON NOT NULL, 
	children JSON NOT NULL, 
	insert_date DATETIME NOT NULL, 
	insert_user VARCHAR NOT NULL, 
	last_modified DATETIME NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "project" VALUES('BTS','BTS','Brain tumours','Größe','["brain", "tumour"]','private',4,0,0,'{"note": "x", "number": 3}','{}','2026-05-01 09:30:00.123456','admin','2026-05-01 09:30:00.123456');
CREATE TABLE received_object (
	pk INTEGER NOT NULL, 
	prearchive_pk INTEGER, 
	state VARCHAR NOT NULL, 
	reason VARCHAR NOT NULL, 
	path VARCHAR NOT NULL, 
	source VARCHAR NOT NULL, 
	study_instance_uid VARCHAR NOT NULL, 
	series_instance_uid VARCHAR NOT NULL, 
	sop_instance_uid VARCHAR NOT NULL, 
	sop_class_uid VARCHAR NOT NULL, 
	transfer_syntax_uid VARCHAR NOT NULL, 
	header JSON NOT NULL, 
	size INTEGER NOT NULL, 
	digest VARCHAR NOT NULL, 
	received_at DATETIME NOT NULL, 
	session_id VARCHAR, 
	PRIMARY KEY (pk), 
	FOREIGN KEY(prearchive_pk) REFERENCES prearchive_session (pk)
);
INSERT INTO "received_object" VALUES(1,1,'archived','','archive/BTS/arc001/EXAM1/SCANS/3/DICOM/a.dcm','BTS from SENDER','1.2.3','1.2.3.4','1.2.3.4.5','','','{"Modality": "MR", "InstanceNumber": 1}',1234,'d41d8cd98f00b204e9800998ecf8427e','2026-05-01 09:30:00.123456','XNAT_E00001');
CREATE TABLE receiver (
	id INTEGER NOT NULL, 
	ae_title VARCHAR NOT NULL, 
	port INTEGER NOT NULL, 
	enabled BOOLEAN NOT NULL, 
	settings JSON NOT NULL, 
	created DATETIME NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (ae_title, port)
);
INSERT INTO "receiver" VALUES(1,'BTS',8104,1,'{"projectRoutingExpression": "(0008,0016):^(.+)$"}','2026-05-01 09:30:00.123456');
CREATE TABLE resource (
	pk INTEGER NOT NULL, 
	owner_kind VARCHAR NOT NULL, 
	owner_id VARCHAR NOT NULL, 
	label VARCHAR NOT NULL, 
	format VARCHAR NOT NULL, 
	content VARCHAR NOT NULL, 
	description VARCHAR NOT NULL, 
	tags VARCHAR NOT NULL, 
	insert_date DATETIME NOT NULL, 
	insert_user VARCHAR NOT NULL, 
	last_modified DATETIME NOT NULL, 
	PRIMARY KEY (pk), 
	UNIQUE (owner_kind, owner_id, label)
);
INSERT INTO "resource" VALUES(1,'scan','1','DICOM','DICOM','RAW','','','2026-05-01 09:30:00.123456','admin','2026-05-01 09:30:00.123456');
CREATE TABLE resource_file (
	pk INTEGER NOT NULL, 
	resource_pk INTEGER NOT NULL, 
	path VARCHAR NOT NULL, 
	size INTEGER NOT NULL, 
	digest VARCHAR NOT NULL, 
	format VARCHAR NOT NULL, 
	content VARCHAR NOT NULL, 
	tags VARCHAR NOT NULL, 
	insert_date DATETIME NOT NULL, 
	insert_user VARCHAR NOT NULL, 
	last_modified DATETIME NOT NULL, 
	PRIMARY KEY (pk), 
	UNIQUE (resource_pk, path), 
	FOREIGN KEY(resource_pk) REFERENCES resource (pk)
);
INSERT INTO "resource_file" VALUES(1,1,'a.dcm',1234,'d41d8cd98f00b204e9800998ecf8427e','DICOM','','','2026-05-01 09:30:00.123456','admin','2026-05-01 09:30:00.123456');
CREATE TABLE scan (
	pk INTEGER NOT NULL, 
	session_id VARCHAR NOT NULL, 
	id VARCHAR NOT NULL, 
	xsi_type VARCHAR NOT NULL, 
	type VARCHAR NOT NULL, 
	uid VARCHAR NOT NULL, 
	modality VARCHAR NOT NULL, 
	quality VARCHAR NOT NULL, 
	series_description VARCHAR NOT NULL, 
	fields JSON NOT NULL, 
	children JSON NOT NULL, 
	insert_date DATETIME NOT NULL, 
	insert_user VARCHAR NOT NULL, 
	last_modified DATETIME NOT NULL, 
	PRIMARY KEY (pk), 
	UNIQUE (session_id, id), 
	FOREIGN KEY(session_id) REFERENCES experiment (id)
);
INSERT INTO "scan" VALUES(1,'XNAT_E00001','3','xnat:mrScanData','','1.2.3.4','MR','usable','','{"frames": 8}','{}','2026-05-01 09:30:00.123456','admin','2026-05-01 09:30:00.123456');
CREATE TABLE sequence (
	name VARCHAR NOT NULL, 
	value INTEGER NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "sequence" VALUES('XNAT_E',2);
INSERT INTO "sequence" VALUES('XNAT_S',1);
CREATE TABLE share (
	pk INTEGER NOT NULL, 
	kind VARCHAR NOT NULL, 
	object_id VARCHAR NOT NULL, 
	project VARCHAR NOT NULL, 
	label VARCHAR NOT NULL, 
	PRIMARY KEY (pk), 
	UNIQUE (kind, object_id, project), 
	FOREIGN KEY(project) REFERENCES project (id)
);
INSERT INTO "share" VALUES(1,'experiment','XNAT_E00001','BTS','LENT');
CREATE TABLE site_setting (
	name VARCHAR NOT NULL, 
	value VARCHAR NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "site_setting" VALUES('siteId','XNAT');
CREATE TABLE subject (
	id VARCHAR NOT NULL, 
	project VARCHAR NOT NULL, 
	label VARCHAR NOT NULL, 
	fields JSON NOT NULL, 
	children JSON NOT NULL, 
	insert_date DATETIME NOT NULL, 
	insert_user VARCHAR NOT NULL, 
	last_modified DATETIME NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (project, label), 
	FOREIGN KEY(project) REFERENCES project (id)
);
INSERT INTO "subject" VALUES('XNAT_S00001','BTS','SUB1','{"age": 61.5}','{}','2026-05-01 09:30:00.123456','admin','2026-05-01 09:30:00.123456');
CREATE TABLE subscription (
	id INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	active BOOLEAN NOT NULL, 
	owner VARCHAR NOT NULL, 
	document JSON NOT NULL, 
	created DATETIME NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "subscription" VALUES(1,'run it',1,'admin','{"event-filter": {"event-type": "SessionEvent"}}','2026-05-01 09:30:00.123456');
CREATE TABLE user (
	pk INTEGER NOT NULL, 
	login VARCHAR NOT NULL, 
	password_hash VARCHAR NOT NULL, 
	first_name VARCHAR NOT NULL, 
	last_name VARCHAR NOT NULL, 
	email VARCHAR NOT NULL, 
	enabled BOOLEAN NOT NULL, 
	verified BOOLEAN NOT NULL, 
	roles JSON NOT NULL, 
	created DATETIME NOT NULL, 
	PRIMARY KEY (pk), 
	UNIQUE (login)
);
INSERT INTO "user" VALUES(1,'admin','$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHRzYWx0$aGFzaA','','','',1,1,'["Administrator"]','2026-05-01 09:30:00.123456');
INSERT INTO "user" VALUES(2,'reader','x','R','','r@example.org',0,1,'[]','2026-05-01 09:30:00.123456');
CREATE TABLE workflow (
	id INTEGER NOT NULL, 
	object_id VARCHAR NOT NULL, 
	data_type VARCHAR NOT NULL, 
	project VARCHAR NOT NULL, 
	pipeline_name VARCHAR NOT NULL, 
	status VARCHAR NOT NULL, 
	user VARCHAR NOT NULL, 
	justification VARCHAR NOT NULL, 
	comments VARCHAR NOT NULL, 
	job_id VARCHAR NOT NULL, 
	launch_time DATETIME NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "workflow" VALUES(1,'XNAT_E00001','xnat:mrSessionData','BTS','tiny-session','Complete','admin','','1','','2026-05-01 09:30:00.123456');
CREATE TABLE wrapper_config (
	pk INTEGER NOT NULL, 
	wrapper_id INTEGER NOT NULL, 
	project VARCHAR NOT NULL, 
	document JSON NOT NULL, 
	PRIMARY KEY (pk), 
	UNIQUE (wrapper_id, project)
);
INSERT INTO "wrapper_config" VALUES(1,1,'BTS','{"inputs": {}}');
CREATE INDEX ix_prearchive_study ON prearchive_session (study_instance_uid);
CREATE INDEX ix_workflow_object ON workflow (object_id);
CREATE INDEX ix_delivery_subscription ON delivery (subscription_id);
CREATE INDEX ix_config ON config_entry (project, tool, path);
CREATE INDEX ix_received_session ON received_object (prearchive_pk);
CREATE INDEX ix_received_sop ON received_object (sop_instance_uid);
CREATE INDEX ix_received_state ON received_object (state);
CREATE INDEX ix_container_status ON container (status);
CREATE INDEX ix_container_project ON container (project);
CREATE INDEX ix_experiment_session ON experiment (session_id);
CREATE INDEX ix_experiment_project_type ON experiment (project, xsi_type);
CREATE INDEX ix_experiment_accession ON experiment (accession_number);
CREATE INDEX ix_experiment_uid ON experiment (uid);
CREATE INDEX ix_experiment_subject ON experiment (subject_id);
CREATE INDEX ix_scan_uid ON scan (uid);
CREATE INDEX ix_instance_study ON instance (study_instance_uid, series_instance_uid);
CREATE INDEX ix_instance_sop ON instance (sop_instance_uid);
COMMIT;
