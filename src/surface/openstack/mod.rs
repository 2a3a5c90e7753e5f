//! An OpenStack cloud as its project sees it: what machines can be made of, and how much of it is left. Only read.
//!
//! Keystone v3 (`/v3/auth/tokens`), Nova 2.1 (flavors, limits), Glance v2 (images), Neutron v2.0 (external networks), Octavia v2
//! (providers): docs.openstack.org/api-ref.

mod clouds;
mod error;
mod offer;
mod session;

pub use clouds::{Cloud, CloudFault, KEY, cloud, merged};
pub use error::OpenStackError;
pub use offer::{Flavor, Limits, Network};
pub use session::{DESIGNATE, Service, Session};
