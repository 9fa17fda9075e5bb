import MQLock
import Testing

@testable import MQLockRabbitMQ

/// Limits and policies that an operator sets for everything.
extension TortureTests.FaultTests {
    @Test func connectionLimit() async throws {
        let node = try await PrivateNode.shared()
        let (broker, user) = try await node.broker.asNewUser()
        // They are closed one after the other, so the waiter may be served in between, and be struck, too.
        try await strike(.connectionLimit, on: broker, .init(strikesWaiterToo: true)) { stages in
            try await broker.ctl("set_user_limits", user, #"{"max-connections": 0}"#)
            stages.strike()
            try await broker.ctl("close_all_user_connections", user, "a test")
            try await stages.each { try await $0.holderIsNotified() }
            try await broker.ctl("clear_user_limits", user, "all")
            try await stages.each { try await $0.waiterIsServedAtOnce() }
        }
        try await node.broker.ctl("delete_user", user)
    }

    /// A message that was there before keeps its own time to live.
    @Test func messageTTL() async throws {
        let node = try await PrivateNode.shared()
        try await strike(.messageTTL, on: node.broker) { stages in
            try await node.broker.ctl("set_policy", "ttl", "/test/fault/", #"{"message-ttl": 200}"#)
            try await stages.each { stage in
                try await stage.holderKeeps(for: .seconds(2))
                stage.strike()
                try await stage.holderReleases()
                try await stage.waiterIsServed("next, at the release")
            }
            try await node.broker.ctl("clear_policy", "ttl")
        }
    }

    /// The queue keeps nothing that returns. What a waiter of `token` needs then is an operator: that of a lock which others have
    /// used, too, cannot know that nobody holds it.
    @Test func noLength() async throws {
        let node = try await PrivateNode.shared()
        try await strike(.noLength, on: node.broker) { stages in
            try await node.broker.ctl("set_policy", "none", "/test/fault/", #"{"max-length": 0}"#)
            try await stages.each { stage in
                try await stage.holderKeeps(for: .seconds(2))
                stage.strike()
                try await stage.holderReleases()
            }
            try await Task.sleep(for: .seconds(2))
            try await node.broker.ctl("clear_policy", "none")
            try await stages.each { stage in
                var how = "next, at the latest when the policy is gone"
                if stage.mutex.description == "token", try stage.waiter.outcome.current == nil {
                    try await stage.broker.deleteQueue(try stage.broker.objects(stage.name).queue)
                    how = "next, when the policy is gone and the queue deleted"
                }
                try await stage.waiterIsServed(how)
            }
        }
    }
}
