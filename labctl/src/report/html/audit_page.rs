//! The page of an audit.

use askama::Template;

use super::topology::Topology;
use super::{rendered, unbroken};
use crate::audit::{Audit, Impact, Row};
use crate::report::audit_text::{conclusions, detail, remarks};

#[derive(Template)]
#[template(path = "audit.html")]
struct Page<'a> {
    audit: &'a Audit,
    topology: Topology,
    conclusions: Vec<String>,
    remarks: Vec<String>,
}

#[derive(Template)]
#[template(path = "matrix.html")]
struct Matrix<'a> {
    audit: &'a Audit,
}

/// Renders the page.
pub fn audit_page(audit: &Audit) -> anyhow::Result<String> {
    let topology =
        Topology::of(&audit.machines, &audit.links, &audit.single_points_of_any(), &Default::default());
    rendered(&Page { audit, topology, conclusions: conclusions(audit), remarks: remarks(audit) })
}

/// Renders only the matrix, for another page.
pub(super) fn matrix(audit: &Audit) -> anyhow::Result<String> {
    rendered(&Matrix { audit })
}

macro_rules! words {
    ($page:ident) => {
        impl $page<'_> {
            fn title(&self, row: &Row) -> String {
                unbroken(&row.title())
            }

            fn alike(&self, row: &Row) -> usize {
                row.faults.first().map_or(0, |fault| fault.stands_for.len())
            }

            fn class(&self, impact: &Impact) -> String {
                impact.class.name().replace(' ', "_")
            }

            fn detail(&self, impact: &Impact) -> String {
                detail(impact)
            }

            fn seconds(&self, seconds: &Option<f64>) -> String {
                seconds.map_or("–".into(), |seconds| format!("{seconds:.1} s"))
            }
        }
    };
}
words!(Page);
words!(Matrix);
