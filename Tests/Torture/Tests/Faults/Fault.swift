/// The rows of the table of faults, in its order. Each is struck by one test, with every mutex.
enum Fault: String, CaseIterable {
    case brokerKilled = "broker killed (SIGKILL), started again"
    case brokerStopped = "broker stopped in good order, started again"
    case brokerFrozen = "broker frozen (SIGSTOP), continued"
    case dataLost = "broker killed, its data folder lost"
    case nodeKilled = "the node of a cluster that the holder is connected to is killed"
    case clusterCut = "cluster cut apart (partition handling: ignore), the holder on the minority's side"
    case clusterCutPausing = "cluster cut apart (pause_minority), the holder on the minority's side"

    case connectionClosed = "the holder's lock connection closed (rabbitmqctl close_connection)"
    case publishConnectionClosed = "the holder's publish connection closed (rabbitmqctl close_connection)"
    case everyConnectionClosed = "every connection closed (rabbitmqctl close_all_connections)"
    case reset = "connection reset (RST)"
    case silentToBroker = "network silent from holder to broker"
    case silentToClient = "network silent from broker to holder"
    case vanished = "network silent both ways, reset when the lock has gone on"
    case slow = "slow network: 300 ms each way"

    case memoryAlarm = "memory alarm while held, waited for and released"
    case diskAlarm = "disk alarm while held, waited for and released"
    case acknowledgementTimeout = "held past the broker's delivery-acknowledgement timeout"
    case unknownAcknowledgementTimeout = "the same, with a timeout that the adapter does not know"

    case queueDeleted = "the lock's queue deleted by an operator"
    case allQueuesDeleted = "all queues of the lock deleted by an operator"
    case purgedWhileHeld = "the lock's queue purged while held"
    case purgedWhileFree = "the lock's queue purged while free"
    case garbage = "garbage in the lock's queue"
    case foreignTokens = "foreign tokens with larger numbers in the lock's queue"

    case permissionRevoked = "the user's permissions revoked"
    case vhostDeleted = "the virtual host deleted, made anew"

    case connectionLimit = "every connection closed, and no more allowed (a limit of connections), until it is raised"
    case messageTTL = "a policy for all queues: message-ttl of 200 ms"
    case noLength = "a policy for all queues: max-length of 0, taken back after the release"

    case holderKilled = "the holder's process killed (SIGKILL)"
    case holderStopped = "the holder's process stopped (SIGSTOP), continued"
    case outOfDescriptors = "the holder's process out of file descriptors, then cut off"
    case clockSetBack = "the holder's wall clock set back by an hour"
    case clockSetBackDays = "the holder's wall clock set back by three days"
}
