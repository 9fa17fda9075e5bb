import Foundation
import Testing

@testable import MQLockRabbitMQ

extension LiveBrokerTests {
    /// What the mutexes rest on, on raw frames: a holder's end is one step of the queue.
    @Suite struct RequeueOrderTests {
        enum End: String, CaseIterable {
            /// A raw channel.close, without a cancel before it.
            case channelClose
            /// The end of the connection without a word of AMQP.
            case disconnect
            /// The kernel closes what a process had that was killed.
            case kill
        }

        enum Kind: String, CaseIterable {
            case quorum, classic
        }
    }
}

extension LiveBrokerTests.RequeueOrderTests {
    /// With 6 held and 3 and 4 ready, the next consumer gets 6, 3, 4.
    @Test(arguments: End.allCases, Kind.allCases) func theHeldTokenComesFirst(_ end: End, _ kind: Kind) async throws {
        let broker = try LiveBrokerTests.broker()
        for _ in 0..<10 {
            try await broker.withName { name in
                let queue = try broker.objects(name).queue
                try broker.raw { next in
                    try next.declare(
                        queue, arguments: ["x-queue-type": .string(kind.rawValue), "x-single-active-consumer": true])
                    try RawClient.run(broker.uri) { holder in
                        try holder.consume(queue, prefetch: 1)
                        try next.publish([6], to: queue)
                        #expect(try holder.deliveries(1) == [[6]])
                        try next.publish([3], to: queue)
                        try next.publish([4], to: queue)
                        try next.consume(queue, prefetch: 8)
                        switch end {
                        case .channelClose: try holder.closeChannel()
                        case .disconnect: holder.abort()
                        case .kill: try Self.killOwner(of: holder)
                        }
                    }
                    #expect(try next.deliveries(3) == [[6], [3], [4]])
                }
            }
        }
    }

    /// Leaves the connection to a process of its own and kills that.
    private static func killOwner(of client: RawClient) throws {
        var pid: pid_t = 0
        try client.leave { socket in
            var actions = posix_spawn_file_actions_t()
            posix_spawn_file_actions_init(&actions)
            defer { posix_spawn_file_actions_destroy(&actions) }
            posix_spawn_file_actions_adddup2(&actions, socket, 0)
            var arguments = [strdup("sleep"), strdup("60"), nil]
            defer { for argument in arguments { free(argument) } }
            try #require(posix_spawnp(&pid, "sleep", &actions, nil, &arguments, environ) == 0)
        }
        kill(pid, SIGKILL)
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    }
}
