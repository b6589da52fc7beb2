Console.WriteLine("capsule-tools 0.1.0");
