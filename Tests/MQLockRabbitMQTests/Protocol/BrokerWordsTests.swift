import MQLock
import Testing

@testable import MQLockRabbitMQ

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// What the broker says of a limit, a refusal or another kind of object is told as that, whatever the names in it are.
@Suite("Broker's words") struct BrokerWordsTests {
    /// From the sources of 3.10 to 4.3; %n is a name, which can be anything.
    private static let limits = [
        "NOT_ALLOWED - access to vhost '%n' refused for user '%n': connection limit (1) is reached",
        "NOT_ALLOWED - access to vhost '%n' refused for user '%n': vhost connection limit (1) is reached",
        "NOT_ALLOWED - connection refused for user '%n': user connection limit (2) is reached",
        "NOT_ALLOWED - access to vhost '%n' refused for user '%n': node connection limit (100) is reached",
        "NOT_ALLOWED - number of channels opened for user '%n' has reached the maximum allowed user limit of (3)",
        "NOT_ALLOWED - number of channels opened on node '%n' has reached the maximum allowed limit of (3)",
        "NOT_ALLOWED - number of channels opened (10) has reached the negotiated channel_max (10)",
        "PRECONDITION_FAILED - cannot declare queue '%n': queue limit in vhost '%n' (5) is reached",
        "PRECONDITION_FAILED - cannot declare queue '%n': queue limit in cluster (5) is reached",
        "PRECONDITION_FAILED - cannot declare exchange '%n': exchange limit of 5 is reached",
    ]
    private static let others = [
        "NOT_ALLOWED - vhost %n not found", "NOT_ALLOWED - access to vhost '%n' refused for user '%n'",
        "ACCESS_REFUSED - access to queue '%n' in vhost '%n' refused for user '%n'",
        "NOT_FOUND - no queue '%n' in vhost '%n'",
        "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '%n' in vhost '%n'",
        "PRECONDITION_FAILED - invalid arg 'x-queue-type' for queue '%n' in vhost '%n': unsupported",
        "PRECONDITION_FAILED - inequivalent arg 'x-expires' for queue '%n' in vhost '%n': received none but current is '5'",
        "PRECONDITION_FAILED - inequivalent arg 'type' for exchange '%n' in vhost '%n': received 'direct' but current is 'fanout'",
        "PRECONDITION_FAILED - message size 200 is larger than configured max size 100",
        "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'",
    ]
    private static let names = [
        "x", "limit", "not found", "refused", "connection limit", "reached", "inequivalent arg", "exchange",
        "a limit of (3)",
    ]

    private static func texts(_ patterns: [String]) -> [String] {
        patterns.flatMap { pattern in names.map { pattern.replacing("%n", with: $0) } }
    }

    @Test func aLimitIsALimit() {
        for text in Self.texts(Self.limits) {
            #expect(BrokerWords(text).tellOfLimit, "\(text)")
            for failure in [
                ConnectionFailure(loginRefusedWith: 530, text: text, by: Endpoint()),
                ConnectionFailure(closedWith: 530, text: text),
            ] {
                #expect(failure.kind == .limitReached(text))
                // It passes when somebody else closes a connection.
                #expect(!failure.isPermanent)
                #expect(failure.message.contains(text) && failure.message.contains("limit"))
            }
            let error = ChannelFault(code: 406, text: text).refusal(of: "declaring a queue", for: "x", capacity: 1)
            #expect(error.code == .limitExceeded)
            #expect(!error.message.contains("delete"), "\(error)")
            #expect(!ChannelFault(code: 406, text: text).isOtherKind)
        }
    }

    @Test func anythingElseIsNone() {
        for text in Self.texts(Self.others) {
            #expect(!BrokerWords(text).tellOfLimit, "\(text)")
            #expect(ConnectionFailure(closedWith: 320, text: text).kind == .brokerClosed(code: 320, text: text))
        }
        for name in Self.names {
            func refused(_ text: String) -> ConnectionFailure.Kind {
                ConnectionFailure(loginRefusedWith: 530, text: text, by: Endpoint()).kind
            }
            let missing = "NOT_ALLOWED - vhost \(name) not found"
            #expect(refused(missing) == .vhostNotFound(missing))
            let noAccess = "NOT_ALLOWED - access to vhost '\(name)' refused for user '\(name)'"
            #expect(refused(noAccess) == .vhostRefused(noAccess))
        }
    }

    /// An exchange of ours that somebody else has made is no queue of another mutex.
    @Test func objectsOfAnotherKind() {
        func fault(_ what: String) -> ChannelFault {
            ChannelFault(
                code: 406,
                text: "PRECONDITION_FAILED - inequivalent arg 'type' for \(what) 'mqlock.v1' in vhost '/': "
                    + "received 'direct' but current is 'fanout'")
        }
        #expect(fault("queue").isOtherKind && !fault("exchange").isOtherKind)
        let error = fault("exchange").refusal(of: "declaring the lock's queue", for: "x", capacity: 1)
        #expect(error.code == .incompatible)
        #expect(error.message.contains("exchange mqlock.v1") && !error.message.contains("the queue"), "\(error)")
        // Of what we do not understand nothing is advised.
        let unknown = ChannelFault(code: 406, text: "PRECONDITION_FAILED - invalid arg 'x-expires' for queue 'q'")
        let refusal = unknown.refusal(of: "declaring the lock's queue", for: "x", capacity: 1)
        #expect(refusal.code == .incompatible && !refusal.message.contains("delete"), "\(refusal)")
    }

    /// Of what this process or machine is short no host is accused.
    @Test(arguments: [EMFILE, ENFILE, ENOBUFS, ENOMEM]) func whatIsShortHere(_ code: Int32) {
        #expect(ConnectionFailure.isOfThisProcess(code))
        let failure = ConnectionFailure(ofThisProcess: code)
        guard case .system = failure.kind else {
            Issue.record("\(failure)")
            return
        }
        #expect(!failure.message.contains("host") && !failure.isPermanent)
    }
}
