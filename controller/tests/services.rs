//! The services of a controller over real TLS on loopback: enrolment, plans, reports, image bytes.

mod services {
    mod blobs;
    mod captures;
    mod enrolment;
    mod forms;
    mod harness;
    mod leases;
    mod plans;
    mod readiness;
    mod reports;
    mod restore;
    mod starts;
    mod trust;
}
