import Foundation
import MQLock
import Testing

/// The operator takes away what the programs need.
extension TortureTests.FaultTests {
    @Test func permissionRevoked() async throws {
        let node = try await PrivateNode.shared()
        let (broker, user) = try await node.broker.asNewUser()
        try await strike(.permissionRevoked, on: broker) { stages in
            try await broker.ctl("set_permissions", user, "^$", "^$", "^$")
            try await stages.each { stage in
                try await stage.holderKeeps(for: .seconds(3))
                stage.strike()
                // In line for it, one publishes now and then, and is refused. At the release it could still be served. The
                // others need no permission before they are.
                let isRefusedInLine = stage.mutex.description == "sac"
                if isRefusedInLine { try await stage.waiterIsRefused() }
                try await stage.holderReleases()
                if !isRefusedInLine { try await stage.waiterIsRefused() }
            }
            try await broker.ctl("set_permissions", user, ".*", ".*", ".*")
        }
        try await node.broker.ctl("delete_user", user)
    }

    @Test func vhostDeleted() async throws {
        let node = try await PrivateNode.shared()
        let vhost = "mqlock-\(UInt32.random(in: 0 ... .max))"
        func make() async throws {
            try await node.broker.ctl("add_vhost", vhost)
            try await node.broker.ctl("set_permissions", "-p", vhost, "guest", ".*", ".*", ".*")
        }
        try await make()
        let broker = LiveBroker(uri: "\(node.broker.uri)/\(vhost)", control: node.broker.control)
        try await strike(.vhostDeleted, on: broker) { stages in
            try await broker.ctl("delete_vhost", vhost)
            try await stages.each { stage in
                try await stage.holderIsNotified()
                try await stage.waiterIsRefused()
            }
            try await make()
        }
        try await node.broker.ctl("delete_vhost", vhost)
    }
}
