//! A machine named by its role: `db:primary`, `lb:active`.

/// A machine by its role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The one that takes writes.
    Primary,
    /// The first one that does not.
    Replica,
    /// The primary, or the active balancer, that something was last done to.
    Former,
    /// The balancer of a pair that has its address.
    Active,
    /// The one that would take it over.
    Standby,
    /// The first one that does not answer.
    Gone,
}

impl Role {
    /// Whether a database node can have it.
    pub fn is_of_database(self) -> bool {
        matches!(self, Self::Primary | Self::Replica | Self::Former | Self::Gone)
    }

    /// Whether one of a pair of balancers can have it.
    pub fn is_of_pair(self) -> bool {
        matches!(self, Self::Active | Self::Standby | Self::Former)
    }
}

/// What a name such as `db:primary` means: the kind of machine, and the role.
pub fn parse(name: &str) -> Option<(&str, Role)> {
    let (kind, role) = name.split_once(':')?;
    let role = match role {
        "primary" => Role::Primary,
        "replica" => Role::Replica,
        "former" => Role::Former,
        "active" => Role::Active,
        "standby" => Role::Standby,
        "gone" => Role::Gone,
        _ => return None,
    };
    Some((kind, role))
}
