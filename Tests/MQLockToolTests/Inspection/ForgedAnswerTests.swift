import Foundation
import MQLock
import MQLockRabbitMQ
import Testing

@testable import MQLockTool

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Whoever may use locks may answer questions about them, with anything. Nobody's word makes a lock unbreakable, or has
/// another lock's connection closed.
extension InspectionCommandTests {
    /// How the liar answers when it is asked to yield.
    enum Manner: String, CaseIterable { case silent, refusing, yielding }

    private static func lie(_ manner: Manner, _ claim: LockContender) -> Forger.Lie {
        { request in
            switch (request, manner) {
            case (.who, _): [.here(claim)]
            case (.yield, .refusing): [.refused(session: claim.session, reason: "never")]
            // To every question, also that which is for another.
            case (.yield(let token), .yielding):
                [
                    .yielding(
                        Forger.contender(.holder, session: claim.session, token: token))
                ]
            default: []
            }
        }
    }

    private func session(of owner: String) async throws -> (session: String, token: UInt64) {
        let shown = try objects(await (try start(["show", name, "--json"])).result().output)
        let holder = try required(shown.first { $0["owner"] as? String == owner })
        let fence = (holder["fence"] as? String).flatMap(UInt64.init)
        return (try required(holder["session"] as? String), fence ?? 0)
    }

    @Test(
        "a lock is broken whatever somebody else claims, with whichever number, and however that one answers",
        .enabled(if: Broker.control != nil, "needs a broker of brokers/with"), arguments: Manner.allCases)
    func claims(manner: Manner) async throws {
        try await Forger.withUser { uri in
            for number in [nil, FencingToken.maximum, 0] as [UInt64?] {
                let holder = try hold("sac", owner: "first")
                #expect(await isGranted(holder))
                _ = try await seen(holders: 1, waiters: 0)
                let (session, own) = try await session(of: "first")
                // The largest and the smallest of a session of its own; and the very number of the holder, in its name.
                let claim = Forger.contender(
                    .holder, session: number == nil ? session : String(repeating: "a", count: 32),
                    token: FencingToken(rawValue: number ?? own))
                let forger = try await Forger(uri, LockName(name), Self.lie(manner, claim))
                _ = try await seen(holders: 2, waiters: 0)
                let broken = await (try start(["break", name, "--yes", "-w", "1s"])).result()
                #expect(broken.status == 0, "\(broken.output)\(broken.errors)")
                #expect(broken.output.contains("first (user guest)"))
                #expect(await holder.ended().exitStatus == 123)
                forger.stop()
            }
        }
    }

    @Test(
        "a stopped holder's connection is closed, and no other, whatever somebody else answers in whose name",
        .enabled(if: Management.isThere, Management.reason),
        arguments: [LockContender.Role.holder, .waiter], Manner.allCases)
    func connections(role: LockContender.Role, manner: Manner) async throws {
        let url = try await Management.url()
        try await Forger.withUser { uri in
            let holder = try hold("sac", owner: "stopped", heartbeat: 60)
            #expect(await isGranted(holder))
            // Of another lock; the liar is after its connection.
            let bystander = try start(
                ["run", "other-\(name)", "--owner", "bystander", "--", "sh", "-c", "echo in; exec sleep 600"])
            #expect(await bystander.output.line() == "in")
            let other = try await eventually("the bystander to be seen") {
                let shown = await (try start(["show", "other-\(name)", "--json"])).result().output
                return try objects(shown).first { $0["owner"] as? String == "bystander" }
            }
            _ = try await seen(holders: 1, waiters: 0)
            let own = try await session(of: "stopped").session
            holder.send(SIGSTOP)
            // As the holder in the bystander's name, or as one who answers in the stopped holder's.
            let victim = role == .holder ? try required(other["session"] as? String) : own
            let token = role == .holder ? FencingToken(rawValue: FencingToken.maximum) : nil
            let claim = Forger.contender(role, session: victim, token: token)
            let forger = try await Forger(uri, LockName(name), Self.lie(manner, claim))
            let byHand = await (try start(["break", name, "--yes", "-w", "500ms"])).result()
            #expect(!byHand.errors.contains(victim) && !byHand.output.contains(victim))
            _ = try await eventually("the management API to know of the lock") {
                let list = await (try start(["list", "\(name)", "-w", "500ms", "--management", url])).result()
                return list.status == 0 ? true : nil
            }
            let broken = await (try start(["break", name, "--yes", "-w", "500ms", "--management", url])).result()
            if role == .holder, manner == .yielding {
                // Somebody says that it has yielded; the broker knows better.
                #expect(broken.status == 1)
                #expect(broken.errors.contains("stopped locks \(own)"))
            } else {
                #expect(broken.status == 0, "\(broken.output)\(broken.errors)")
                #expect(broken.output.contains("stopped locks \(own)"))
            }
            forger.stop()
            let shown = try await TestProcess.run(
                ["show", "other-\(name)"], environment: ["MQLOCK_BROKER": required(Broker.uri)])
            #expect(shown.output.contains("bystander"), "\(shown.output)")
            bystander.send(SIGTERM)
            #expect(await bystander.ended().exitStatus == 143)
            holder.send(SIGCONT)
            holder.send(SIGTERM)
            _ = await holder.ended()
        }
    }

    @Test("many claims of one user keep nobody else's from being asked")
    func fairness() {
        func claim(_ user: String?, _ number: UInt64) -> LockContender {
            var claim = Forger.contender(.holder, token: FencingToken(rawValue: number))
            claim = ControlAnswer.said(.here(claim), by: user)
            return claim
        }
        let flood = (1000..<9000).map { claim("liar", UInt64($0)) }
        for honest in ["guest", nil] {
            let asked = LockBreak.asked(flood + [claim(honest, 7)])
            #expect(asked.contains { $0.user == honest })
            #expect(asked.count <= 100)
        }
    }
}

extension ControlAnswer {
    /// The contender of an answer of that user's.
    fileprivate static func said(_ answer: Self, by user: String?) -> LockContender {
        guard case .here(let contender) = answer.said(by: user) else { preconditionFailure("another answer") }
        return contender
    }
}
