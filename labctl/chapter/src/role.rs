//! The roles by which a machine can be named: `db:primary`, `lb:active`.

/// The role of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The node that takes the writes.
    Primary,
    /// The first node that does not.
    Replica,
    /// The primary, or the active balancer, that was acted on last.
    Former,
    /// The balancer of a pair that holds its address.
    Active,
    /// The balancer that would take it over.
    Standby,
    /// The first one that does not answer.
    Gone,
}

impl Role {
    /// True if a database node can have it.
    pub fn is_of_database(self) -> bool {
        matches!(self, Self::Primary | Self::Replica | Self::Former | Self::Gone)
    }

    /// True if a balancer of a pair can have it.
    pub fn is_of_pair(self) -> bool {
        matches!(self, Self::Active | Self::Standby | Self::Former)
    }
}

/// Splits a name such as `db:primary` into the kind of machine and the role.
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
