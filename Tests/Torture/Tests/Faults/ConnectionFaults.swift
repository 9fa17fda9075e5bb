import MQLock
import Testing

/// An operator closes connections.
extension TortureTests.FaultTests {
    /// With these heartbeats nothing but the broker's word can be what tells within the test's patience.
    private static let longHeartbeat = Stage.Options(query: "heartbeat=60")

    @Test func connectionClosed() async throws {
        let node = try await PrivateNode.shared()
        try await strike(.connectionClosed, on: node.broker, Self.longHeartbeat) { stages in
            try await stages.each { stage in
                let connections = try await stage.holdersConnections()
                stage.strike()
                try await stage.broker.ctl("close_connection", try #require(connections.locks), "by the operator")
                try await stage.holderIsNotified()
                try await stage.waiterIsServedAtOnce()
            }
        }
    }

    /// It serves to publish only: neither the hold nor its release depend on it, and another is made for the next need.
    @Test func publishConnectionClosed() async throws {
        let node = try await PrivateNode.shared()
        try await strike(.publishConnectionClosed, on: node.broker) { stages in
            try await stages.each { stage in
                if let publishes = try await stage.holdersConnections().publishes {
                    try await stage.broker.ctl("close_connection", publishes, "by the operator")
                }
                try await stage.holderKeeps(for: .seconds(2))
                stage.strike()
                try await stage.holderReleases()
                try await stage.waiterIsServed("next, at the release")
            }
        }
    }

    @Test func everyConnectionClosed() async throws {
        let node = try await PrivateNode.shared()
        try await strike(
            .everyConnectionClosed, on: node.broker, .init(query: "heartbeat=60", strikesWaiterToo: true)
        ) { stages in
            try await node.broker.ctl("close_all_connections", "by the operator")
            try await stages.each { stage in
                try await stage.holderIsNotified()
                try await stage.waiterIsServedAtOnce()
            }
        }
    }
}

extension Stage {
    /// The broker's names of the two connections of the holder's program.
    fileprivate func holdersConnections() async throws -> (locks: String?, publishes: String?) {
        let lines = try await broker.ctl("-q", "list_connections", "pid", "client_properties").split(separator: "\n")
        func pid(_ use: String) -> String? {
            lines.first { $0.contains("holder of \(name) \(use)") }?.split(separator: "\t").first.map(String.init)
        }
        return (pid("locks"), pid("publishes"))
    }
}
